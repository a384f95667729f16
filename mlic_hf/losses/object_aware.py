"""OASS's two losses on class maps that were put together from the four pieces of a cut image."""

from __future__ import annotations

import torch
from torch import Tensor

from .precision import full_precision
from .soft_margin import soft_margin


@full_precision
def partial_class_loss(merged: Tensor, labels: Tensor, known: Tensor | None = None, reduction: str = "mean") -> Tensor:
    """Soft-margin loss of a merged map's spatial mean against the one label whose key point made the cut.

    Args:
        merged: (N, C, h, w) merged class maps, one a cut; (N, C) spatial means do as well.
        labels: (N,) the label of each cut.
        known: (N, C) bool, the labels of the cut's image that are known; None knows all.
        reduction: "mean" over the cuts (OASS's own) or "sum".

    Returns:
        A scalar; 0 with the graph attached without cuts.

    Raises:
        ValueError: for another reduction.

    Source:
        Object-Aware Self-Supervision (OASS), the class-specific instance loss.
    """
    scores = merged.mean(dim=(2, 3)) if merged.dim() == 4 else merged
    targets = torch.zeros_like(scores).scatter_(1, labels[:, None], 1.0)
    if known is not None:
        targets = targets.masked_fill(~known.bool(), -1.0)
    return soft_margin(scores, targets, reduction)


@full_precision
def reconstruction_loss(
    class_maps: Tensor, merged: Tensor, images: Tensor, labels: Tensor, reduction: str = "mean"
) -> Tensor:
    """|map - merged| on the cut's own label, all other channels masked, mean over all channels and places.

    Args:
        class_maps: (B, C, h, w) class maps of the whole images.
        merged: (N, C, h, w) merged class maps, one a cut.
        images: (N,) the image of each cut.
        labels: (N,) the label of each cut.
        reduction: "mean" over the cuts (OASS's own) or "sum".

    Returns:
        A scalar; 0 with the graph attached without cuts. The mean over channels divides by all C labels,
        though only one channel is not masked.

    Raises:
        ValueError: for another reduction.

    Source:
        Object-Aware Self-Supervision (OASS), the reconstruction loss.
    """
    if reduction not in ("sum", "mean"):
        raise ValueError(f'reduction is "{reduction}"; expected "sum" or "mean".')
    cuts = torch.arange(len(labels), device=labels.device)
    difference = (class_maps[images, labels] - merged[cuts, labels]).abs()
    total = difference.mean(dim=(1, 2)).sum() / class_maps.shape[1]
    return total if reduction == "sum" else total / max(1, len(labels))
