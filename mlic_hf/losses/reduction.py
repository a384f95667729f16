"""From a matrix of per-cell losses to one number, counting only the cells that are known."""

from __future__ import annotations

import numpy as np
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


def hard_cells(targets: Tensor, like: Tensor) -> Tensor:
    """`known_cells` for a loss that tells positives from negatives and knows nothing between.

    Targets between 0 and 1 are refused where that costs nothing, on the host; a GPU would have to be waited for.
    """
    known = known_cells(targets, like)
    if targets.device.type == "cpu" and not torch.compiler.is_compiling():
        refuse_soft(targets.detach().float().numpy())
    return known


def refuse_soft(targets: np.ndarray) -> None:
    """Raises ValueError where a target lies between 0 and 1, as those of mixed images do."""
    soft = (targets > 0) & (targets < 1)
    if soft.any():
        image, label = np.argwhere(soft)[0]
        raise ValueError(
            f"the target of image {image}, label {label} is {targets[image, label]:.4g}; this loss tells positives "
            "from negatives and takes 1, 0 and -1 only. Leave mixup off, or use a loss that takes soft labels: binary "
            "cross-entropy, soft margin, focal or the asymmetric loss."
        )


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
