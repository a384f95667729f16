"""Losses for missing and rare labels: cells nobody listed, and limits in which they are known losses."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from mlic_hf import losses

Z = 2 * torch.randn(6, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
Y = (torch.rand(6, 5, generator=torch.Generator().manual_seed(4)) < 0.3).double()
FOR_UNLISTED = [
    losses.entropy_maximization,
    losses.weak_negatives,
    losses.hill,
    losses.self_paced_correction,
    partial(losses.large_loss_rejection, share=0.2),
    partial(losses.large_loss_correction, share=0.2),
    partial(losses.expected_positives, expected=2.0),
]


@pytest.mark.parametrize("loss", FOR_UNLISTED)
def test_what_is_not_listed_may_be_written_0_or_unknown(loss) -> None:
    unknown = Y.masked_fill(Y == 0, -1)
    torch.testing.assert_close(loss(Z, unknown, unlisted=-1, reduction="sum"), loss(Z, Y, reduction="sum"))
    more = torch.cat([unknown, torch.full_like(unknown[:1], -2)])  # an image that is not there
    for unlisted in (0, -1):
        told = loss(torch.cat([Z, Z[:1]]), more, unlisted=unlisted, reduction="sum")
        torch.testing.assert_close(told, loss(Z, unknown, unlisted=unlisted, reduction="sum"))


@pytest.mark.parametrize("loss", FOR_UNLISTED)
def test_a_negative_that_somebody_has_seen_is_cross_entropy(loss) -> None:
    if getattr(loss, "func", loss) is losses.expected_positives:
        loss = partial(loss, weight=0.0)
    positive_free = torch.zeros_like(Y)
    expected = F.binary_cross_entropy_with_logits(Z, positive_free)
    torch.testing.assert_close(loss(Z, positive_free, unlisted=-1, reduction="mean"), expected)


def test_limits_in_which_they_are_cross_entropy() -> None:
    plain = F.binary_cross_entropy_with_logits(Z, Y)
    for loss in (
        losses.weak_negatives(Z, Y, weight=1.0),
        losses.large_loss_rejection(Z, Y, share=0.0),
        losses.large_loss_correction(Z, Y, share=0.0),
        losses.self_paced_correction(Z, Y, threshold=1.0, margin=0.0, gamma=0.0, reduction="mean"),
        losses.binary_cross_entropy(Z, Y, "mean", weight=torch.ones(5), pos_weight=torch.ones(5)),
    ):
        torch.testing.assert_close(loss, plain)
    flat = losses.distribution_balanced(Z, Y, torch.full((5,), 8), 16, beta=0.0, alpha=0.5, neg_scale=1.0, gamma=0.0)
    torch.testing.assert_close(flat, plain)  # a label on half of the images has no shift, and 0.5 + sigmoid(0) is 1


def test_pos_weight_is_that_of_torch() -> None:
    weight, pos_weight = torch.rand(2, 5, dtype=torch.float64)
    ours = losses.binary_cross_entropy(Z, Y, "mean", weight=weight, pos_weight=pos_weight)
    torch.testing.assert_close(ours, F.binary_cross_entropy_with_logits(Z, Y, weight, pos_weight=pos_weight))


def test_a_weak_negative_image_weighs_as_much_as_its_one_positive() -> None:
    logits, targets = torch.zeros(1, 9), torch.eye(9)[:1]
    total = losses.weak_negatives(logits, targets, reduction="sum")
    torch.testing.assert_close(total, 2 * torch.tensor(2.0).log())


def test_an_undecided_cell_is_left_alone_by_entropy_and_a_sure_one_too() -> None:
    logits = torch.tensor([[0.0, 20.0, -20.0, 1.5]], requires_grad=True)
    losses.entropy_maximization(logits, torch.zeros(1, 4), reduction="sum").backward()
    assert logits.grad[0, :3].abs().max() < 1e-6
    assert logits.grad[0, 3] > 0.01  # back to the middle


def test_hill_pulls_a_confident_negative_less_than_an_undecided_one() -> None:
    logits = torch.tensor([[0.0, 6.0]], requires_grad=True)
    losses.hill(logits, torch.zeros(1, 2)).backward()
    assert logits.grad[0, 1] < 0.05 * logits.grad[0, 0]


def test_the_largest_losses_are_rejected_and_corrected() -> None:
    logits = torch.tensor([[3.0, 2.0, -1.0], [-2.0, 1.0, -3.0]])
    targets = torch.tensor([[0.0, 1, 0], [0, 0, -1]])
    for share, large in ((0.1, 1), (0.4, 2), (1.0, 4)):  # of the five cells that count, rounded up
        order = [3.0, 1.0, -1.0, -2.0]
        kept = sum(-F.logsigmoid(torch.tensor(-z)) for z in order[large:]) + torch.tensor(0.0)
        expected = kept - F.logsigmoid(torch.tensor(2.0))
        rejected = losses.large_loss_rejection(logits, targets, share, reduction="sum")
        torch.testing.assert_close(rejected, expected)
        turned = expected - sum(F.logsigmoid(torch.tensor(z)) for z in order[:large])
        torch.testing.assert_close(losses.large_loss_correction(logits, targets, share, reduction="sum"), turned)


def test_expected_positives_only_wants_the_average() -> None:
    targets = torch.zeros(4, 5, dtype=torch.float64)
    fitting = torch.full((4, 5), 0.4, dtype=torch.float64).logit()  # two of five
    torch.testing.assert_close(losses.expected_positives(fitting, targets, 2.0), torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(
        losses.expected_positives(fitting, targets, 1.0), torch.tensor(1 / 25, dtype=torch.float64)
    )


def test_rare_labels_weigh_more_where_they_come_with_frequent_ones() -> None:
    logits, targets = torch.zeros(1, 2, requires_grad=True), torch.ones(1, 2)
    losses.distribution_balanced(logits, targets, torch.tensor([400.0, 4.0]), 1000, kappa=0.0).backward()
    assert logits.grad[0, 1] < 5 * logits.grad[0, 0] < 0


def test_zlpr_and_two_way_rank() -> None:
    apart = torch.where(Y > 0, 20.0, -20.0)
    assert losses.zlpr(apart, Y) < 1e-6
    assert losses.two_way(apart, Y) < 1e-6
    assert losses.two_way(apart + 7, Y) < 1e-6  # only differences count
    assert losses.zlpr(apart + 27, Y) > 6  # 0 is the threshold
