"""Labels that are not there: what a cell means that nobody listed, and lists made incomplete on purpose."""

from __future__ import annotations

import torch
from torch import Tensor

from mlic_hf.data.stateless_random import stateless_generator

UNLISTED = ("negative", "unknown")


def mark_unlisted(labels: Tensor, unlisted: str = "negative") -> Tensor:
    """What the labels say of the cells that nobody listed as positive.

    Args:
        labels: (..., C) in {1, 0, -1}, in which a 0 only means that nobody listed the label.
        unlisted: "negative" leaves them 0, "unknown" makes them -1: no loss and no metric then counts them, save the
            losses for missing labels with `unlisted=-1`.

    Returns:
        The same labels, or a copy.

    Raises:
        ValueError: for another meaning.
    """
    if unlisted not in UNLISTED:
        raise ValueError(f"unlisted is {unlisted!r}, but must be one of {', '.join(UNLISTED)}.")
    return labels if unlisted == "negative" else labels.masked_fill(labels == 0, -1)


def keep_one_positive(labels: Tensor, image_id: str, seed: int = 0) -> Tensor:
    """An image's labels of which only one positive is left, drawn with equal chances; the others become 0.

    For experiments with single positive labels. The draw is a function of (seed, image_id): the same in every epoch,
    process and order, for somebody listed one label once.

    Args:
        labels: (C,) in {1, 0, -1}.
        image_id: whose labels they are.
        seed: of the draw.

    Returns:
        (C,), the same labels where there are fewer than two positives.
    """
    positives = (labels > 0).nonzero()[:, 0]
    if len(positives) < 2:
        return labels
    kept = int(stateless_generator("one positive", seed, image_id).integers(len(positives)))
    dropped = positives[torch.arange(len(positives)) != kept]
    return labels.index_fill(0, dropped, 0)


def drop_positives(labels: Tensor, share: float, image_id: str, seed: int = 0) -> Tensor:
    """An image's labels with each positive forgotten (0) by chance, whatever becomes of the others.

    The draw of a cell is a function of (seed, image_id, label): with a larger share the same positives are missing,
    and more.

    Args:
        labels: (C,) in {1, 0, -1}.
        share: the chance of each positive to be forgotten, in [0, 1].
        image_id: whose labels they are.
        seed: of the draws.

    Returns:
        (C,).

    Raises:
        ValueError: for a share outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}, but must lie in [0, 1].")
    drawn = torch.from_numpy(stateless_generator("drop", seed, image_id).random(len(labels)))
    return labels.masked_fill((labels > 0) & (drawn < share), 0)
