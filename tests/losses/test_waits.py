"""No loss waits for the device more than once, forward and backward together, and most never."""

from __future__ import annotations

import pytest
import torch

from mlic_hf import losses
from tests.losses.cases import CASES, LossCase, random_inputs
from tests.waits import Waits

# their rows are the positive pairs of the batch, and how many there are only the targets know
ONCE = {"class_aware", "instance_aware", "label_embedding", "label_contrastive", "co_occurrence"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_at_most_one_wait(case: LossCase) -> None:
    leaf, fixed, targets = random_inputs(case, 12, 9)
    leaf.requires_grad_()
    with Waits() as waits:
        torch.autograd.grad(case.call(leaf, fixed, targets), leaf)
    assert waits.total == (1 if case.name in ONCE else 0), waits.seen


def test_the_other_losses_never_wait() -> None:
    maps = [torch.randn(3, 4, 6, 6, requires_grad=True)]
    images, labels = torch.tensor([0, 2]), torch.tensor([1, 3])
    known = torch.tensor([[True, True, False, True], [True, False, True, True]])
    with Waits() as waits:
        losses.review_distillation(maps, [m.detach() for m in maps], torch.tensor([True, False, True])).backward()
        losses.partial_class_loss(maps[0][images], labels, known).backward()
        losses.reconstruction_loss(maps[0], maps[0][images].detach(), images, labels).backward()
    assert waits.total == 0, waits.seen


def test_hard_negatives_cost_no_second_wait() -> None:
    projections = torch.randn(4, 5, 3, requires_grad=True)
    targets = (torch.rand(4, 5) < 0.3).float()
    with Waits() as waits:
        losses.label_contrastive(projections, targets, torch.randn(4, 5), denominator_size=15).backward()
    assert waits.total == 1, waits.seen


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.sum() > 0),
        lambda x: x[x > 0],
        lambda x: x.unique(),
        lambda x: x.cpu(),
        lambda x: x.tolist(),
        lambda x: (x > 0).nonzero(),
    ],
)
def test_the_counter_counts(wait) -> None:
    with Waits() as waits:
        wait(torch.arange(4.0))
    assert waits.total == 1, waits.seen
