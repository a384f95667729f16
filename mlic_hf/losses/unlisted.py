"""Cells that nobody listed: neither known to be positive nor looked at and found negative."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from .reduction import hard_cells


class Cells(NamedTuple):
    """Bool masks (B, C): listed as positive, known to be negative, listed by nobody, and all three."""

    positive: Tensor
    negative: Tensor
    unlisted: Tensor
    known: Tensor


def split_cells(targets: Tensor, like: Tensor, unlisted: int = 0) -> Cells:
    """Tell positive, negative and unlisted cells.

    Args:
        targets: (B, C) in {0, 1, -1}; what is below -1 takes no part, whatever `unlisted` is.
        like: the scores, whose shape the targets must have.
        unlisted: what the targets say of a cell that nobody listed. 0: every negative is only assumed, and a -1
            takes no part, as in every other loss. -1: a 0 is a negative that somebody has seen.

    Raises:
        ValueError: for another value, unlike shapes or soft targets.
    """
    if unlisted not in (0, -1):
        raise ValueError(
            f"unlisted is {unlisted!r}; expected 0 (negatives are assumed) or -1 (what is not listed is unknown)."
        )
    known = hard_cells(targets, like)
    positive, negative = targets > 0, targets == 0
    if unlisted == 0:
        return Cells(positive, negative & ~negative, negative, known)
    there = targets >= -1
    return Cells(positive, negative, there & ~known, there)
