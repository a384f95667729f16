"""The positive (image, label) pairs of a batch, grouped by label or by image, in a few padded blocks.

Losses that compare the pairs of one label (or of one image) need every group's n x n block. Padding all groups
to the largest would make memory follow the most frequent label; one group at a time is a Python loop. So groups
are sorted by size and cut into blocks that waste at most as many pairs as they need, and a constant: the number
of blocks grows with the logarithm of the largest group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .reduction import refuse_soft

# pairs that may be computed for nothing in a block because one more block costs as much: measured on a CPU, where
# a pair of 768-wide rows takes 0.1 microseconds; a GPU does far more in the time of a launch
FREE_PAIRS_CPU, FREE_PAIRS = 1 << 12, 1 << 17


@dataclass(frozen=True)
class Block:
    """Groups of similar size: rows `start:stop` of the sorted pairs, laid out as (groups, width)."""

    start: int
    stop: int
    groups: int
    width: int
    place: Tensor  # (rows,) where each row stands in the flattened (groups * width) layout
    sizes: Tensor  # (groups,) how many rows of the layout are real

    def pad(self, rows: Tensor) -> Tensor:
        """Rows (stop - start, d) -> (groups, width, d), zeros behind each group's own rows."""
        flat = rows.new_zeros(self.groups * self.width, rows.shape[-1])
        return flat.index_copy_(0, self.place, rows).view(self.groups, self.width, -1)

    def valid(self) -> Tensor:
        """(groups, width) bool: the rows that are real."""
        return torch.arange(self.width, device=self.sizes.device) < self.sizes[:, None]


@dataclass(frozen=True)
class PositiveGroups:
    """The pairs sorted by group, and the blocks they fill."""

    cells: Tensor  # (pairs,) flat numbers image * labels + label
    rows: Tensor  # (pairs,) their numbers among all positive cells, images first
    blocks: list[Block]


def positive_cells(targets: Tensor) -> np.ndarray:
    """(B, C) bool on the host: where the targets are positive.

    How the pairs are laid out depends on their numbers, so a GPU has to be waited for here; everything that
    follows is planned on the host and sent back without waiting. A loss calls this once.

    Raises:
        ValueError: for a target between 0 and 1.
    """
    on_host = targets.detach().float().cpu().numpy()
    refuse_soft(on_host)
    return on_host > 0


def positive_groups(
    positive: np.ndarray, by: str, smallest: int = 2, device: torch.device | str = "cpu"
) -> PositiveGroups:
    """Group the positive cells by "label" or by "image", dropping groups of fewer than `smallest`.

    Args:
        positive: (B, C) bool, of `positive_cells`.
        by: "label" or "image".
        smallest: the least number of pairs a group needs to count.
        device: where the rows lie that will be laid out.

    Returns:
        The pairs and their blocks; no block when no group is large enough.

    Raises:
        ValueError: for another grouping.
    """
    if by not in ("label", "image"):
        raise ValueError(f'by is "{by}"; expected "label" or "image".')
    by_group = positive.T if by == "label" else positive
    sizes = by_group.sum(axis=1)
    order = sizes.argsort(kind="stable")
    order = order[np.searchsorted(sizes[order], smallest) :]
    sizes = sizes[order]
    group, other = by_group[order].nonzero()
    num_labels = positive.shape[1]
    cells = other * num_labels + order[group] if by == "label" else order[group] * num_labels + other
    stops = sizes.cumsum()
    place = np.arange(len(cells)) - (stops - sizes)[group]
    free = FREE_PAIRS_CPU if torch.device(device).type == "cpu" else FREE_PAIRS
    cuts = [
        (begin, end, int(sizes[end - 1]), int(stops[begin] - sizes[begin]), int(stops[end - 1]))
        for begin, end in _cuts(sizes, free)
    ]
    for begin, _, width, start, stop in cuts:
        place[start:stop] += (group[start:stop] - begin) * width
    rows = positive.ravel().cumsum()[cells] - 1
    plan = send(np.concatenate([cells, rows, place, sizes]), device)
    sent_cells, sent_rows, places, counts = plan.split([len(cells), len(rows), len(place), len(sizes)])
    blocks = [
        Block(start, stop, end - begin, width, places[start:stop], counts[begin:end])
        for begin, end, width, start, stop in cuts
    ]
    return PositiveGroups(sent_cells, sent_rows, blocks)


def send(numbers: np.ndarray, device: torch.device | str) -> Tensor:
    """An array of whole numbers as a tensor on a device; nothing waits for the copy."""
    tensor = torch.from_numpy(numbers)
    if torch.device(device).type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def _cuts(sizes: np.ndarray, free: int) -> list[tuple[int, int]]:
    """Ranges of groups, sizes ascending, whose padding wastes no more pairs than they hold and `free` ones."""
    squares = sizes**2
    cuts: list[tuple[int, int]] = []
    end = len(sizes)
    while end:
        # from the largest group down: padded pairs minus twice the real ones
        excess = (squares[end - 1] - 2 * squares[:end])[::-1].cumsum()
        reach = int((excess <= free).nonzero()[0][-1]) + 1
        cuts.append((end - reach, end))
        end -= reach
    return cuts[::-1]


class _TakeRows(torch.autograd.Function):
    """Distinct rows of a table. The stock index gradients accumulate; distinct rows need one plain copy."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, table: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.table_shape = table.shape  # type: ignore[attr-defined]
        return table.index_select(0, index)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors  # type: ignore[attr-defined]
        grad = grads[0].new_zeros(ctx.table_shape)  # type: ignore[attr-defined]
        return grad.index_copy_(0, index, grads[0]), None


def take_rows(table: Tensor, index: Tensor) -> Tensor:
    """Rows of a table at distinct places: (R, d), (N,) -> (N, d); gradients are copied, not added."""
    return _TakeRows.apply(table, index)


def take_cells(embeddings: Tensor, cells: Tensor) -> Tensor:
    """The embeddings of distinct (image, label) cells: (B, C, d), (N,) -> (N, d).

    Raises:
        ValueError: when the embeddings are not (images, labels, width).
    """
    if embeddings.dim() != 3:
        raise ValueError(
            f"label embeddings have shape {tuple(embeddings.shape)}; expected (images, labels, width), one "
            "embedding a label. A model with grouped outputs has none."
        )
    return take_rows(embeddings.flatten(0, 1), cells)
