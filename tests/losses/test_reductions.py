"""The reductions differ by the counts that their docstrings name; unknown cells and images are not counted."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from mlic_hf import losses

TARGETS = torch.tensor([[1.0, 0, -1, 0], [-1, -1, -1, -1], [0, 1, 1, -1]])
KNOWN_CELLS, KNOWN_IMAGES = 6, 2
S, T = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "call",
    [
        lambda r: losses.asymmetric_loss(S, TARGETS, reduction=r),
        lambda r: losses.binary_cross_entropy(S, TARGETS, r),
        lambda r: losses.focal(S, TARGETS, reduction=r),
        lambda r: losses.multi_label_logit_distillation(S, T, TARGETS, r),
        lambda r: losses.entropy_maximization(S, TARGETS, reduction=r),
        lambda r: losses.weak_negatives(S, TARGETS, reduction=r),
        lambda r: losses.hill(S, TARGETS, reduction=r),
        lambda r: losses.self_paced_correction(S, TARGETS, reduction=r),
        lambda r: losses.large_loss_rejection(S, TARGETS, 0.3, reduction=r),
        lambda r: losses.large_loss_correction(S, TARGETS, 0.3, reduction=r),
        lambda r: losses.distribution_balanced(S, TARGETS, torch.tensor([5.0, 1, 0, 9]), 9, reduction=r),
        lambda r: losses.symmetric_logit_distillation(S, T, TARGETS, r),
        lambda r: losses.partition_distillation_mse(S, T, r, TARGETS),
        lambda r: losses.partition_distillation_kl(S, T, 4.0, r, TARGETS),
    ],
)
def test_cells(call) -> None:
    torch.testing.assert_close(call("sum"), call("mean") * KNOWN_CELLS)
    torch.testing.assert_close(call("sum"), call("batchmean") * KNOWN_IMAGES)


def test_images() -> None:
    total = losses.partial_softmax_distillation(S, T, TARGETS, "sum")
    torch.testing.assert_close(total, losses.partial_softmax_distillation(S, T, TARGETS) * KNOWN_IMAGES)
    torch.testing.assert_close(losses.soft_margin(S, TARGETS, "sum"), losses.soft_margin(S, TARGETS) * KNOWN_IMAGES)
    for loss in (losses.zlpr, losses.two_way, partial(losses.expected_positives, expected=1.0)):
        torch.testing.assert_close(loss(S, TARGETS, reduction="sum"), loss(S, TARGETS) * KNOWN_IMAGES)
    graph, view = torch.randn(2, 3, 4, 5)
    total = losses.co_occurrence_contrast(graph, view, -view, TARGETS, reduction="sum")
    mean = losses.co_occurrence_contrast(graph, view, -view, TARGETS)
    torch.testing.assert_close(total, mean * KNOWN_IMAGES)


def test_pairs_and_cuts() -> None:
    projections = torch.nn.functional.normalize(torch.randn(3, 4, 5), dim=-1)
    targets = torch.tensor([[1.0, 1, 0, -1], [1, 0, 1, 0], [0, 0, 1, 0]])
    total = losses.label_contrastive(projections, targets, reduction="sum")
    torch.testing.assert_close(total, 5 * losses.label_contrastive(projections, targets))
    maps, merged, labels = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4), torch.tensor([0, 2])
    images = torch.arange(2)
    for call in (
        lambda r: losses.partial_class_loss(merged, labels, reduction=r),
        lambda r: losses.reconstruction_loss(maps, merged, images, labels, r),
    ):
        torch.testing.assert_close(call("sum"), 2 * call("mean"))


def test_an_image_without_a_true_label_stays_in_the_contrast_mean() -> None:
    """Differs: the original fails on such an image."""
    graph, view = torch.randn(2, 2, 3, 4)
    targets = torch.tensor([[1.0, 1, 0], [0, 0, 0]])
    both = losses.co_occurrence_contrast(graph, view, -view, targets)
    alone = losses.co_occurrence_contrast(graph[:1], view[:1], -view[:1], targets[:1])
    torch.testing.assert_close(both, alone / 2)


@pytest.mark.parametrize(
    "loss",
    [
        losses.binary_cross_entropy,
        losses.focal,
        losses.soft_margin,
        losses.asymmetric_loss,
        lambda z, y: losses.asymmetric_loss(z, y, gamma_neg=2, gamma_pos=1, disable_grad_focal=False),
    ],
)
def test_a_soft_label_mixes_the_losses_of_the_hard_ones(loss) -> None:
    for share in (0.3, 0.9):
        mixed = loss(S, torch.full_like(S, share))
        expected = share * loss(S, torch.ones_like(S)) + (1 - share) * loss(S, torch.zeros_like(S))
        torch.testing.assert_close(mixed, expected)
    with_unknown = torch.full_like(S, 0.3)
    with_unknown[1] = -1
    assert torch.isfinite(loss(S, with_unknown))
