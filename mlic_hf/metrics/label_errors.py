"""Which labels are probably wrong, from scores of a model that was not trained on them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlic_hf.metrics.cells import as_arrays, label_cells


class ConfidentCounts(NamedTuple):
    """The confident joint of each label, (labels,) int64 each: what is listed against what is likely.

    A cell that is likely neither is in none of them.
    """

    listed_likely: np.ndarray
    listed_unlikely: np.ndarray
    unlisted_likely: np.ndarray
    unlisted_unlikely: np.ndarray


def confident_counts(scores: Any, targets: Any) -> ConfidentCounts:
    """Confident learning for each label by itself: the cells that are as sure of the other class as that class is.

    The threshold of "present" is the mean score of the listed cells, that of "absent" the mean of 1 - score of the
    others. A cell is likely present when its score reaches the one, likely absent when 1 - score reaches the other;
    where both hold, the likelier class is taken. A label of which one class does not occur has no likely cells of it.

    Args:
        scores: (images, labels) probabilities of a model that has not seen these labels.
        targets: (images, labels) of 1 (listed), 0 (not listed) and -1 (unknown, left out).

    Returns:
        The four counts.

    Raises:
        ValueError: scores outside [0, 1]; bad shapes or targets.

    Source: Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021,
        equations 1 and 2, with the two classes of one label.
    """
    scores, targets = _probabilities(scores, targets)
    counts = np.zeros((4, scores.shape[1]), np.int64)
    for label, column, listed, _ in label_cells(scores, targets):
        column = column.astype(np.float64)
        present = column >= (column[listed].mean() if listed.any() else np.inf)
        absent = 1 - column >= (1 - column[~listed].mean() if not listed.all() else np.inf)
        both = present & absent
        likely, unlikely = present & ~(both & (column <= 0.5)), absent & ~(both & (column > 0.5))
        cells = (listed & likely, listed & unlikely, ~listed & likely, ~listed & unlikely)
        counts[:, label] = [np.count_nonzero(cell) for cell in cells]
    return ConfidentCounts(*counts)


def suspicion(scores: Any, targets: Any) -> np.ndarray:
    """How unlikely each cell's label is: 1 minus the probability of what it says.

    Args:
        scores: (images, labels) probabilities of a model that has not seen these labels.
        targets: (images, labels) of 1, 0 and -1.

    Returns:
        (images, labels) float64 in [0, 1]; -1 where the label is unknown.

    Raises:
        ValueError: scores outside [0, 1]; bad shapes or targets.
    """
    scores, targets = _probabilities(scores, targets)
    scores = scores.astype(np.float64)
    return np.where(targets == 1, 1 - scores, np.where(targets == 0, scores, -1.0))


def _probabilities(scores: Any, targets: Any) -> tuple[np.ndarray, np.ndarray]:
    scores, targets = as_arrays(scores, targets)
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("scores must be probabilities in [0, 1]; apply a sigmoid to logits first.")
    if not np.isin(targets, (1, 0, -1)).all():
        raise ValueError("targets hold something else than 1 (listed), 0 (not listed) and -1 (unknown).")
    return scores, targets
