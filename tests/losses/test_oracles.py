"""Every loss against the plain loop of its equation: value and gradient."""

from __future__ import annotations

import sys

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from mlic_hf import losses
from tests.losses import oracles
from tests.losses.cases import CASES, LossCase, random_inputs


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("images, labels, seed", [(7, 6, 0), (12, 17, 1), (3, 40, 2), (40, 3, 3)])
def test_value_and_gradient(case: LossCase, images: int, labels: int, seed: int) -> None:
    leaf, fixed, targets = random_inputs(case, images, labels, seed)
    results = []
    for loss in (case.call, case.oracle):
        value = loss(leaf.requires_grad_(), fixed, targets)
        results.append((value.detach(), torch.autograd.grad(value, leaf)[0]))
    (value, gradient), (expected, expected_gradient) = results
    assert expected > 0 or case.below_zero
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_gradient_reaches_the_teacher(case: LossCase) -> None:
    leaf, fixed, targets = random_inputs(case, 6, 5)
    fixed.requires_grad_()
    value = case.call(leaf.requires_grad_(), fixed, targets)
    assert torch.autograd.grad(value, fixed, allow_unused=True)[0] is None


def test_distances_stay_exact_for_a_tight_cluster_far_from_the_origin() -> None:
    rows = 1000 + 0.01 * torch.randn(6, 32)
    exact = torch.cdist(rows.double(), rows.double())
    off = ~torch.eye(6, dtype=torch.bool)
    relative = (losses.pairwise_distances(rows).double() - exact).abs()[off] / exact[off]
    assert relative.max() < 1e-4


def test_focal_is_that_of_torchvision() -> None:
    z, y = 3 * torch.randn(5, 7), torch.randint(0, 2, (5, 7)).float()
    torch.testing.assert_close(losses.focal(z, y), sigmoid_focal_loss(z, y, reduction="sum"))
    plain = F.binary_cross_entropy_with_logits(z, y, reduction="sum")
    torch.testing.assert_close(losses.focal(z, y, gamma=0, alpha=None), plain)


def test_asymmetric_without_focus_and_clip_is_cross_entropy() -> None:
    z, y = 3 * torch.randn(5, 7), torch.randint(0, 2, (5, 7)).float()
    plain = F.binary_cross_entropy_with_logits(z, y, reduction="sum")
    torch.testing.assert_close(losses.asymmetric_loss(z, y, 0, 0, 0), plain)


def test_relational_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    s, t = torch.randn(2, 9, 4, dtype=torch.float64)
    whole = losses.relational_distillation(s.requires_grad_(), t)
    expected = torch.autograd.grad(whole, s)[0]
    # the package re-exports the function under its module's name
    monkeypatch.setattr(sys.modules["mlic_hf.losses.relational_distillation"], "LARGEST_CUBE", 4 * 81)
    sliced = losses.relational_distillation(s, t)
    torch.testing.assert_close(sliced, whole)
    torch.testing.assert_close(torch.autograd.grad(sliced, s)[0], expected)


def test_review_against_the_loop_and_with_a_mask() -> None:
    shapes = [(5, 3, 8, 8), (5, 4, 4, 4), (5, 6, 2, 2), (5, 6, 1, 1)]
    student, teacher = ([torch.randn(shape, dtype=torch.float64) for shape in shapes] for _ in "ab")
    torch.testing.assert_close(
        losses.review_distillation(student, teacher), oracles.review_distillation(student, teacher)
    )
    mask = torch.tensor([True, False, True, True, False])
    masked = losses.review_distillation(student, teacher, mask)
    alone = oracles.review_distillation([s[mask] for s in student], [t[mask] for t in teacher])
    torch.testing.assert_close(masked, alone)
    torch.testing.assert_close(losses.review_distillation(student, teacher, mask, "sum"), 3 * alone)


def test_object_aware_against_the_loop() -> None:
    class_maps, images, labels = torch.randn(3, 4, 6, 6), torch.tensor([0, 0, 2]), torch.tensor([1, 3, 0])
    merged = torch.randn(3, 4, 6, 6)
    torch.testing.assert_close(losses.partial_class_loss(merged, labels), oracles.partial_class_loss(merged, labels))
    torch.testing.assert_close(
        losses.reconstruction_loss(class_maps, merged, images, labels),
        oracles.reconstruction_loss(class_maps, merged, images, labels),
    )
    known = torch.ones(3, 4, dtype=torch.bool)
    known[:, 2] = False
    scores = merged.mean(dim=(2, 3))
    expected = F.multilabel_soft_margin_loss(scores[:, [0, 1, 3]], F.one_hot(labels, 4)[:, [0, 1, 3]].float())
    torch.testing.assert_close(losses.partial_class_loss(merged, labels, known), expected)


def test_denominator_size_adds_the_highest_scored_negatives() -> None:
    targets = torch.tensor([[1.0, 0, -1], [1, 0, 0]])
    logits = torch.tensor([[0.0, 2, 9], [0, 1, 3]])
    projections = F.normalize(torch.randn(2, 3, 4), dim=-1)
    loss = losses.label_contrastive(projections, targets, logits, denominator_size=4)
    rows = projections[[0, 1, 1, 0], [0, 0, 2, 1]]  # the unknown cell scores highest and stays out
    expected = oracles.supervised_contrastive(rows, torch.tensor([0, 0, -1, -1]))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        losses.label_contrastive(projections, targets, logits, denominator_size=2),
        losses.label_contrastive(projections, targets),
    )


def test_true_label_edges() -> None:
    edges = torch.rand(1, 4, 4)
    inside, outside = losses.true_label_edges(edges, torch.tensor([[1.0, 0, 1, -1]]))
    true = torch.zeros(4, 4)
    true[[0, 0, 2, 2], [0, 2, 0, 2]] = 1
    other = 1 - true
    other[3, :] = other[:, 3] = 0
    torch.testing.assert_close(inside[0], edges[0] * true)
    torch.testing.assert_close(outside[0], edges[0] * other)
