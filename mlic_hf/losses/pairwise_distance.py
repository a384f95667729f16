"""Euclidean distances between the rows of a matrix, exact in value and linear in memory in the gradient."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SMALLEST_DISTANCE = 1e-6  # the papers clamp squared distances at 1e-12


class _Distances(torch.autograd.Function):
    """Values from differences (no cancellation between large norms), gradients from one matrix product.

    The stock gradient of `cdist` on a GPU holds every pair's difference vector: (n, n, d) again.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, rows: Tensor) -> Tensor:
        distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
        ctx.save_for_backward(rows, distances)
        distances = distances.clamp(min=SMALLEST_DISTANCE)
        distances.diagonal(dim1=-2, dim2=-1).zero_()
        return distances

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        rows, distances = ctx.saved_tensors  # type: ignore[attr-defined]
        # a clamped pair (and the diagonal) has no slope
        weights = torch.where(distances >= SMALLEST_DISTANCE, grads[0] / distances, 0.0)
        weights = weights + weights.transpose(-2, -1)
        return weights.sum(dim=-1, keepdim=True) * rows - weights @ rows


def pairwise_distances(rows: Tensor) -> Tensor:
    """Distances of all pairs of rows, at least 1e-6 off the diagonal and 0 on it.

    Args:
        rows: (..., n, d).

    Returns:
        (..., n, n).
    """
    return _Distances.apply(rows)


def relative_distances(rows: Tensor, sizes: Tensor) -> Tensor:
    """phi of METHODS.md: distances over the mean of the positive ones, which are all off the diagonal.

    Args:
        rows: (G, n, d), zero rows behind each group's own.
        sizes: (G,) real rows of each group.

    Returns:
        (G, n, n); 0 outside a group's own block. The mean is differentiated too.
    """
    valid = torch.arange(rows.shape[1], device=rows.device) < sizes[:, None]
    distances = pairwise_distances(rows) * (valid[:, :, None] & valid[:, None, :])
    pairs = (sizes * (sizes - 1)).clamp(min=1)
    mean = distances.sum(dim=(1, 2)) / pairs
    # a group of fewer than two rows has no distance; its zeros stay zeros
    return distances / mean.clamp(min=torch.finfo(rows.dtype).tiny)[:, None, None]


def distance_structure_loss(student: Tensor, teacher: Tensor, sizes: Tensor) -> Tensor:
    """h of METHODS.md for every group: Huber (delta 1) of relative distances, summed over pairs, by rows.

    Args:
        student: (G, n, d_s) padded groups.
        teacher: (G, n, d_t) padded groups; no gradient flows into them.
        sizes: (G,) real rows of each group.

    Returns:
        (G,) sums divided by the group's rows.
    """
    with torch.no_grad():
        reference = relative_distances(teacher, sizes)
    huber = F.huber_loss(relative_distances(student, sizes), reference, reduction="none", delta=1.0)
    return huber.sum(dim=(1, 2)) / sizes.clamp(min=1)
