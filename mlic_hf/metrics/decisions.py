"""Counts of decisions and what they give: CP, CR, CF1, OP, OR, OF1, Hamming loss, subset accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlic_hf.metrics.cells import as_arrays, as_thresholds, image_blocks


@dataclass(frozen=True)
class DecisionCounts:
    """Whole-number counts over the known cells; `hits`, `predicted`, `positives` are (labels,) int64.

    `wrong` of `known` cells are decided wrongly; of `images` with a known cell, `exact` have none decided
    wrongly.
    """

    hits: np.ndarray
    predicted: np.ndarray
    positives: np.ndarray
    wrong: int
    known: int
    exact: int
    images: int


def count_decisions(scores: Any, targets: Any, threshold: Any = 0.5, topk: int | None = None) -> DecisionCounts:
    """Decide every cell (`score >= threshold`) and count.

    With `topk`, only an image's `topk` highest scores may be positive (and must still reach the threshold).
    They are chosen among all labels, left-out ones included; a left-out cell is then not counted. Ties for
    the last place go to the lower label index.

    Args:
        scores: (images, labels), on the scale of the threshold.
        targets: (images, labels) of 1, 0 and -1.
        threshold: one number or (labels,), compared in the scores' own precision; -inf for top-k alone.
        topk: how many labels of an image may be predicted; None for any number.

    Raises:
        ValueError: bad shapes, scores, targets, thresholds, or topk < 1.
    """
    scores, targets = as_arrays(scores, targets)
    thresholds = as_thresholds(threshold, scores)
    if topk is not None and topk < 1:
        raise ValueError(f"topk is {topk}; expected a whole number of at least 1, or None.")
    per_label = np.zeros((3, scores.shape[1]), dtype=np.int64)
    wrong = num_known = exact = images = 0
    for score, positive, known in image_blocks(scores, targets):
        decided = score >= thresholds
        if topk is not None and topk < score.shape[1]:
            decided &= highest_scores(score, topk)
        decided &= known
        per_label += [cells.sum(axis=0) for cells in (decided & positive, decided, positive)]
        errors = np.count_nonzero(decided != positive, axis=1)
        any_known = known.any(axis=1)
        wrong += int(errors.sum())
        num_known += int(np.count_nonzero(known))
        exact += int(np.count_nonzero((errors == 0) & any_known))
        images += int(np.count_nonzero(any_known))
    hits, predicted, positives = per_label
    return DecisionCounts(hits, predicted, positives, wrong, num_known, exact, images)


def precision_recall_f1(scores: Any, targets: Any, threshold: Any = 0.5, topk: int | None = None) -> dict[str, float]:
    """CP, CR, CF1 (means over labels) and OP, OR, OF1 (over all decisions).

    CP and CR are the means over labels of precision and recall, CF1 = 2 CP CR / (CP + CR). A label without
    positives is left out of both means (but its predictions count in OP); a label that is never predicted has
    precision 0. OP, OR and OF1 come from the sums of the counts.

    Differs from scikit-learn's macro F1: that is the mean of the labels' F1, and counts labels without
    positives.

    Args:
        scores, targets, threshold, topk: see `count_decisions`.

    Returns:
        The six numbers, each in [0, 1].

    Raises:
        ValueError: no label has a positive image, or as `count_decisions`.
    """
    return summarise(count_decisions(scores, targets, threshold, topk))


def summarise(counts: DecisionCounts) -> dict[str, float]:
    """CP, CR, CF1, OP, OR, OF1 of counts; see `precision_recall_f1`."""
    has_positives = counts.positives > 0
    if not has_positives.any():
        raise ValueError("no label has a positive image among the known cells, so recall is undefined.")
    hits, predicted, positives = (
        values[has_positives] for values in (counts.hits, counts.predicted, counts.positives)
    )
    class_precision = float((hits / np.maximum(predicted, 1)).mean())
    class_recall = float((hits / positives).mean())
    precision = float(counts.hits.sum() / max(counts.predicted.sum(), 1))
    recall = float(counts.hits.sum() / counts.positives.sum())
    return {
        "CP": class_precision,
        "CR": class_recall,
        "CF1": harmonic_mean(class_precision, class_recall),
        "OP": precision,
        "OR": recall,
        "OF1": harmonic_mean(precision, recall),
    }


def hamming_loss(counts: DecisionCounts) -> float:
    """Share of the known cells that are decided wrongly."""
    if counts.known == 0:
        raise ValueError("every cell is left out (-1), so the Hamming loss is undefined.")
    return counts.wrong / counts.known


def subset_accuracy(counts: DecisionCounts) -> float:
    """Share of the images (with a known cell) whose known cells are all decided rightly."""
    if counts.images == 0:
        raise ValueError("every cell is left out (-1), so the subset accuracy is undefined.")
    return counts.exact / counts.images


def highest_scores(scores: np.ndarray, count: int) -> np.ndarray:
    """(images, labels) bool: the `count` < labels highest scores of each row, ties to the lower index."""
    last = np.partition(scores, scores.shape[1] - count, axis=1)[:, scores.shape[1] - count, None]
    chosen = scores > last
    tied = scores == last
    places = count - np.count_nonzero(chosen, axis=1, keepdims=True)
    return chosen | (tied & (np.cumsum(tied, axis=1) <= places))


def harmonic_mean(precision: float, recall: float) -> float:
    """2 P R / (P + R); 0 when both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
