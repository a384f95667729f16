"""From a matrix of per-cell losses to one number, counting only the cells that are known."""

from __future__ import annotations

import torch
from torch import Tensor


def known_cells(targets: Tensor | None, like: Tensor) -> Tensor:
    """Where the targets say something: (B, C) bool, all true without targets; a -1 is unknown."""
    if targets is None:
        return torch.ones_like(like, dtype=torch.bool)
    if targets.shape != like.shape:
        raise ValueError(
            f"targets have shape {tuple(targets.shape)} but the scores have {tuple(like.shape)}: "
            "both must be (images, labels)."
        )
    return targets >= 0


def reduce_cells(cells: Tensor, known: Tensor, reduction: str) -> Tensor:
    """Sum the known cells and divide by what the reduction names.

    Args:
        cells: (B, C) losses; whatever stands in an unknown cell is ignored and gets no gradient.
        known: (B, C) bool.
        reduction: "sum", "batchmean" (by the images with at least one known cell) or "mean" (by the known
            cells).

    Returns:
        A scalar; 0 with the graph attached when nothing is known.

    Raises:
        ValueError: for another reduction.
    """
    total = torch.where(known, cells, torch.zeros_like(cells)).sum()
    if reduction == "sum":
        return total
    if reduction == "batchmean":
        return total / known.any(dim=1).sum().clamp(min=1)
    if reduction == "mean":
        return total / known.sum().clamp(min=1)
    raise ValueError(f'reduction is "{reduction}"; expected "sum", "batchmean" or "mean".')


def reduce_images(images: Tensor, counted: Tensor, reduction: str) -> Tensor:
    """Sum per-image losses, or average them over the images that count.

    Args:
        images: (B,) losses.
        counted: (B,) bool, the images that take part.
        reduction: "sum" or "mean".

    Returns:
        A scalar.

    Raises:
        ValueError: for another reduction.
    """
    total = torch.where(counted, images, torch.zeros_like(images)).sum()
    if reduction == "sum":
        return total
    if reduction == "mean":
        return total / counted.sum().clamp(min=1)
    raise ValueError(f'reduction is "{reduction}"; expected "sum" or "mean".')
