"""How often labels occur, alone and together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np


def positive_pairs(labels: Any, num_labels: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Where the positives are, as a sparse list.

    Args:
        labels: one list of label ids an image, or a multi-hot matrix (images, labels) whose cells above 0 are
            positive (-1, "ignored", is not).
        num_labels: how many labels there are.

    Returns:
        image (positives,) and label (positives,), both int64, sorted by image then label, each cell once; and
        the number of images.

    Raises:
        ValueError: an id outside 0..num_labels-1 (the image is named by its place), or a wrong matrix width.
    """
    if hasattr(labels, "shape"):
        matrix = np.asarray(labels)
        if matrix.ndim != 2 or matrix.shape[1] != num_labels:
            raise ValueError(
                f"The multi-hot matrix has the shape {matrix.shape}, but (images, {num_labels}) was expected."
            )
        images, ids = np.nonzero(matrix > 0)
        return images, ids, len(matrix)
    lists: Sequence[Iterable[int]] = list(labels)
    lengths = np.fromiter((len(row) for row in lists), np.int64, len(lists))  # type: ignore[arg-type]
    ids = np.fromiter(chain.from_iterable(lists), np.int64, int(lengths.sum()))
    images = np.repeat(np.arange(len(lists)), lengths)
    wrong = np.flatnonzero((ids < 0) | (ids >= num_labels))
    if len(wrong):
        raise ValueError(
            f"Image {images[wrong[0]]} has the label id {ids[wrong[0]]}, but ids must lie in "
            f"0..{num_labels - 1}; the lists were probably made for another label space."
        )
    cells = np.unique(images * num_labels + ids)
    return cells // num_labels, cells % num_labels, len(lists)


def co_occurrence_counts(labels: Any, num_labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Images with both of two labels, and images with each.

    Work and memory follow the number of pairs inside images, not images times labels.

    Args:
        labels: one list of label ids an image, or a multi-hot matrix (images, labels) in {1, 0, -1}.
        num_labels: how many labels there are.

    Returns:
        A (num_labels, num_labels) int64, symmetric: A[i, j] images have both i and j, the diagonal is 0; and
        n (num_labels,) int64: n[j] images have j.

    Raises:
        ValueError: see positive_pairs.

    Source: PSD (Xu et al. 2022), the co-occurrence graph.
    """
    images, ids, _ = positive_pairs(labels, num_labels)
    n = np.bincount(ids, minlength=num_labels)
    # every positive is written down once for each positive of its image
    _, first, lengths = np.unique(images, return_index=True, return_counts=True)
    repeats = np.repeat(lengths, lengths)
    left = np.repeat(ids, repeats)
    within = np.arange(len(left)) - np.repeat(repeats.cumsum() - repeats, repeats)
    right = ids[np.repeat(np.repeat(first, lengths), repeats) + within]
    counts = np.bincount(left * num_labels + right, minlength=num_labels**2)
    counts = counts.reshape(num_labels, num_labels)
    np.fill_diagonal(counts, 0)
    return counts.astype(np.int64), n.astype(np.int64)
