"""Thresholds for a wished precision or recall, and decisions that may be left open."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlic_hf.metrics.average_precision import hits_and_predicted
from mlic_hf.metrics.cells import as_arrays, as_thresholds, label_cells


def thresholds_for_precision(scores: Any, targets: Any, precision: float, otherwise: float = 1.0) -> np.ndarray:
    """For each label the lowest cut `score >= threshold` that has at least the wished precision.

    The lowest, for of all cuts that are precise enough it finds the most. As in `tune_thresholds`, the threshold is an
    observed score.

    Args:
        scores: (images, labels) of a set that was not trained on.
        targets: (images, labels) of 1, 0 and -1 (left out).
        precision: the wish, in (0, 1].
        otherwise: the threshold of labels that no cut makes so precise, those without a positive among them.

    Returns:
        (labels,) float64.

    Raises:
        ValueError: a wish outside (0, 1]; bad shapes, scores or targets.
    """
    return _lowest_cut(scores, targets, precision, "precision", otherwise)


def thresholds_for_recall(scores: Any, targets: Any, recall: float, otherwise: float = 0.5) -> np.ndarray:
    """For each label the highest cut `score >= threshold` that finds at least the wished share of its positives.

    Args:
        scores: (images, labels) of a set that was not trained on.
        targets: (images, labels) of 1, 0 and -1 (left out).
        recall: the wish, in (0, 1].
        otherwise: the threshold of labels without a known positive.

    Returns:
        (labels,) float64.

    Raises:
        ValueError: a wish outside (0, 1]; bad shapes, scores or targets.
    """
    _check_share(recall, "recall")
    scores, targets = as_arrays(scores, targets)
    thresholds = np.full(scores.shape[1], otherwise, np.float64)
    for label, column, positive, _ in label_cells(scores, targets):
        if positive.any():
            found, hits, _ = hits_and_predicted(column, positive)
            thresholds[label] = found[np.flatnonzero(hits >= recall * found.size - 1e-9)[-1]]
    return thresholds


def thresholds_for_absence(scores: Any, targets: Any, share: float, otherwise: float = 0.0) -> np.ndarray:
    """For each label the highest score below which at least the wished share of the images lack the label.

    Together with `thresholds_for_precision` these are the two ends between which a decision is better left open
    (`decide_or_abstain`).

    Args:
        scores: (images, labels) of a set that was not trained on.
        targets: (images, labels) of 1, 0 and -1 (left out).
        share: the wish, in (0, 1].
        otherwise: the threshold of labels of which no cut is so sure.

    Returns:
        (labels,) float64: `score < threshold` says that the label is absent.

    Raises:
        ValueError: a wish outside (0, 1]; bad shapes, scores or targets.
    """
    scores, targets = as_arrays(scores, targets)
    # an absent label is a present one with everything turned round; the first score above a cut is the threshold
    turned = _lowest_cut(-scores, np.where(targets < 0, -1, 1 - targets), share, "share", np.inf)
    above = [
        np.nextafter(scores.dtype.type(-cut), scores.dtype.type(np.inf)) if np.isfinite(cut) else otherwise
        for cut in turned
    ]
    return np.array(above, np.float64)


def decide_or_abstain(scores: Any, low: Any, high: Any) -> np.ndarray:
    """1 where a score reaches `high`, 0 where it is below `low`, -1 (left open) between the two.

    Args:
        scores: (images, labels).
        low, high: one number, or one a label; where low is above high, high decides.

    Returns:
        (images, labels) int8: what may be written as labels of images that nobody has seen, -1 for a person to see.

    Raises:
        ValueError: thresholds of another shape.
    """
    scores, _ = as_arrays(scores, np.zeros(np.shape(scores)))
    low, high = as_thresholds(low, scores), as_thresholds(high, scores)
    return np.where(scores >= high, 1, np.where(scores < low, 0, -1)).astype(np.int8)


def _lowest_cut(scores: Any, targets: Any, wish: float, name: str, otherwise: float) -> np.ndarray:
    _check_share(wish, name)
    scores, targets = as_arrays(scores, targets)
    thresholds = np.full(scores.shape[1], otherwise, np.float64)
    for label, column, positive, _ in label_cells(scores, targets):
        if positive.any():
            found, hits, predicted = hits_and_predicted(column, positive)
            reached = np.flatnonzero(hits >= wish * predicted - 1e-9)
            thresholds[label] = found[reached[0]] if reached.size else otherwise
    return thresholds


def _check_share(wish: float, name: str) -> None:
    if not 0 < wish <= 1:
        raise ValueError(f"{name} is {wish}; expected a share in (0, 1], such as 0.9.")
