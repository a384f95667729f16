"""Euclidean distances between the rows of a matrix, linear in memory beyond the distances themselves."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_DISTANCE = 1e-6  # the papers clamp squared distances at 1e-12


def _distances(rows: Tensor) -> Tensor:
    gram = rows @ rows.transpose(-2, -1)
    norms = gram.diagonal(dim1=-2, dim2=-1)
    distances = (norms[..., :, None] + norms[..., None, :]).sub_(gram, alpha=2)
    distances = distances.clamp_(min=SMALLEST_DISTANCE**2).sqrt_()
    distances.diagonal(dim1=-2, dim2=-1).zero_()
    return distances


def _rows_gradient(rows: Tensor, distances: Tensor, grad: Tensor) -> Tensor:
    """From the gradient of symmetric distances, each pair counted in both orders, to that of the rows."""
    # a clamped pair (and the diagonal) has no slope
    weights = (grad / distances).masked_fill_(distances <= SMALLEST_DISTANCE, 0.0)
    return weights.sum(dim=-1, keepdim=True) * rows - weights @ rows


class _Distances(torch.autograd.Function):
    """Values and gradients from one matrix product each.

    Differences of all pairs would be (n, n, d), and so would the stock gradient of `cdist` on a GPU. The product
    form loses digits where norms are large against distances, so the rows are first moved to put one on the origin.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, rows: Tensor) -> Tensor:
        rows = rows - rows[..., :1, :]
        distances = _distances(rows)
        ctx.save_for_backward(rows, distances)
        return distances

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        rows, distances = ctx.saved_tensors  # type: ignore[attr-defined]
        return _rows_gradient(rows, distances, grads[0] + grads[0].transpose(-2, -1))


def pairwise_distances(rows: Tensor) -> Tensor:
    """Distances of all pairs of rows, at least 1e-6 off the diagonal and 0 on it.

    Args:
        rows: (..., n, d) with n > 0.

    Returns:
        (..., n, n).
    """
    return _Distances.apply(rows)


def _relative(rows: Tensor, pairs: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Distances over their mean (phi) and what its gradient needs: (phi, shifted rows, distances, 1 / mean).

    The mean of the positive distances is that of all pairs off the diagonal, clamped ones included.
    """
    rows = rows - rows[:, :1]
    distances = _distances(rows).mul_(pairs)
    scale = (counts / distances.sum(dim=(1, 2)).clamp_(min=torch.finfo(rows.dtype).tiny))[:, None, None]
    return distances * scale, rows, distances, scale


class _Structure(torch.autograd.Function):
    """h of every group. The gradient is found on the way, for it shares every term with the value; written out, it
    takes a third of the passes over small blocks that recorded operations take."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, student: Tensor, teacher: Tensor, sizes: Tensor) -> Tensor:
        valid = torch.arange(student.shape[1], device=sizes.device) < sizes[:, None]
        pairs = valid[:, :, None] & valid[:, None, :]
        counts = (sizes * (sizes - 1)).to(student.dtype)
        reference = _relative(teacher, pairs, counts)[0]
        phi, rows, distances, scale = _relative(student, pairs, counts)
        difference = phi - reference
        slope = difference.clamp(-1, 1)  # of the Huber loss at delta 1
        by_size = (1 / sizes.clamp(min=1).to(student.dtype))[:, None, None]
        value = (slope * (difference - 0.5 * slope)).mul_(by_size)
        if ctx.needs_input_grad[0]:  # type: ignore[attr-defined]
            # d phi_ij = d D_ij / mean - phi_ij d mean / mean, and the mean spreads over all pairs of the group
            slope.mul_(by_size)
            shared = (slope * phi).sum(dim=(1, 2), keepdim=True) / counts.clamp(min=1)[:, None, None]
            grad = (slope - shared).mul_(scale).mul_(2 * pairs)
            ctx.save_for_backward(_rows_gradient(rows, distances, grad))
        return value.sum(dim=(1, 2))

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradient * grads[0][:, None, None], None, None


def distance_structure_loss(student: Tensor, teacher: Tensor, sizes: Tensor) -> Tensor:
    """The relation loss h for every group: Huber (delta 1) of relative distances, summed over pairs, by rows.

    Args:
        student: (G, n, d_s) padded groups.
        teacher: (G, n, d_t) padded groups; no gradient flows into them.
        sizes: (G,) real rows of each group.

    Returns:
        (G,) sums over ordered pairs divided by the group's rows; 0 for a group of fewer than two.
    """
    return _Structure.apply(student, teacher, sizes)
