"""Gather rows from all processes with exact gradients, for the losses that pair images of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


class _AllGather(torch.autograd.Function):
    """Every process holds all rows, so a row's gradient is the sum of what all processes send back to it."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, rows: Tensor) -> Tensor:
        ctx.rows = len(rows)  # type: ignore[attr-defined]
        out = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(out, rows.contiguous())
        return torch.cat(out)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        grad = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(grad)
        rows: int = ctx.rows  # type: ignore[attr-defined]
        return grad.narrow(0, dist.get_rank() * rows, rows)


def world_size() -> int:
    """The number of processes; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather_with_gradient(rows: Tensor) -> Tensor:
    """The rows of all processes, in the order of their ranks; all must hold equally many.

    The backward pass adds up the gradients of all processes. When every process computes the same loss from
    the gathered rows, its gradient is therefore world-size times the loss's own: exactly what the averaging
    of data-parallel training divides by again.

    Args:
        rows: (n, ...), the same shape on every process.

    Returns:
        (n * world size, ...); the input itself in a single process.
    """
    return rows if world_size() == 1 else _AllGather.apply(rows)


def gather_sizes(rows: Tensor) -> list[int]:
    """The length of every process's rows; the host waits for the device once."""
    if world_size() == 1:
        return [len(rows)]
    own = torch.full((1,), len(rows), device=rows.device)
    sizes = [torch.empty_like(own) for _ in range(world_size())]
    dist.all_gather(sizes, own)
    return torch.cat(sizes).tolist()


def gather_rows(rows: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
    """`gather_with_gradient` for first dimensions that differ between processes.

    Args:
        rows: (n, ...), n may differ, the rest may not; n may be 0.
        sizes: each process's n where it is known; None asks the others (`gather_sizes`).

    Returns:
        All real rows, in the order of the ranks; the input itself in a single process.
    """
    if world_size() == 1:
        return rows
    sizes = gather_sizes(rows) if sizes is None else sizes
    largest = max(sizes)
    padding = rows.new_zeros(largest - len(rows), *rows.shape[1:])
    gathered = gather_with_gradient(torch.cat([rows, padding]))
    return torch.cat([part[:size] for part, size in zip(gathered.split(largest), sizes)]) if largest else gathered
