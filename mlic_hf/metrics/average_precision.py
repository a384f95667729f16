"""Average precision, per label and as a mean: the one definition of mAP in this project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np

from mlic_hf.metrics.cells import as_arrays, label_cells
from mlic_hf.metrics.counting import count_reaching

AveragePrecisionKind = Literal["average_precision", "mean_precision", "voc2012", "voc2007_11point"]


def average_precision(scores: Any, targets: Any, kind: AveragePrecisionKind = "average_precision") -> np.ndarray:
    """Average precision of every label over its known images.

    Kinds, with the positives of a label ranked 1..P from the best and prec(i) the precision when the i-th is
    reached:

    - `average_precision` (the default, scikit-learn's): mean over positives of the precision at that
      positive's score, all images of at least that score predicted. Tied scores are one threshold, so the
      order of images never matters.
    - `mean_precision` (what PSD, CoCo and OASS call VOC 2007): mean of prec(i).
    - `voc2012`: area under the envelope max over j >= i of prec(j) (VOC devkit 2010 and later).
    - `voc2007_11point`: mean of that envelope at the recalls 0, 0.1, ... 1 (VOC devkit 2007).

    Ties of the last three: the originals have no rule; here a stable order, images of equal score stay in the
    order they come in. Only with ties do `average_precision` and `mean_precision` differ.

    Differs from scikit-learn: a label without positives is NaN here, not 0 with a warning; -1 cells are left
    out. Differs from the VOC 2007 devkit: recall >= k/10 is compared in whole numbers, not in rounded floats.

    Args:
        scores: (images, labels), any finite numbers, higher means more likely.
        targets: (images, labels) of 1, 0 and -1 (left out).
        kind: one of the four above.

    Returns:
        (labels,) float64; NaN where a label has no known positive image.

    Raises:
        ValueError: unknown kind, shapes that differ, a score that is not finite, a target outside {1, 0, -1}.
    """
    if kind not in get_args(AveragePrecisionKind):
        raise ValueError(
            f"unknown kind of average precision {kind!r}; expected one of {get_args(AveragePrecisionKind)}."
        )
    scores, targets = as_arrays(scores, targets)
    result = np.full(scores.shape[1], np.nan)
    for label, column, positive, _ in label_cells(scores, targets):
        if positive.any():
            result[label] = _of_label(column, positive, kind)
    return result


def mean_average_precision(
    scores: Any, targets: Any, kind: AveragePrecisionKind = "average_precision"
) -> tuple[float, int]:
    """Mean of `average_precision` over the labels that have a positive image.

    Differs from scikit-learn's `average="macro"`, where a label without positives counts 0: here it is left
    out.

    Args:
        scores: (images, labels).
        targets: (images, labels) of 1, 0 and -1.
        kind: see `average_precision`.

    Returns:
        The mean, and how many labels were left out because they have no positive image.

    Raises:
        ValueError: no label has a positive image, or as `average_precision`.
    """
    return mean_over_labels(average_precision(scores, targets, kind))


def mean_over_labels(per_label: np.ndarray) -> tuple[float, int]:
    """The mean of the values that are not NaN, and how many are; an error where all are."""
    defined = ~np.isnan(per_label)
    if not defined.any():
        raise ValueError("no label has a positive image among the known cells, so the mean over labels is undefined.")
    return float(per_label[defined].mean()), int(np.count_nonzero(~defined))


def hits_and_predicted(column: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every positive by ascending score: the score, and how many positives and images reach it."""
    found = np.sort(column[positive])
    hits = found.size - np.searchsorted(found, found, side="left")
    return found, hits, count_reaching(column, found)


def _of_label(column: np.ndarray, positive: np.ndarray, kind: AveragePrecisionKind) -> float:
    if kind == "average_precision":
        _, hits, predicted = hits_and_predicted(column, positive)
        return float(np.mean(hits / predicted))
    ranks = _stable_ranks(column, positive)
    precision = np.arange(1, ranks.size + 1) / ranks
    return _FROM_PRECISION[kind](precision)


def _stable_ranks(column: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Ranks (from 1) of the positives in descending stable order; argsort only where one is tied."""
    found = np.sort(column[positive])
    ranks = count_reaching(column, found)
    if np.array_equal(ranks - count_reaching(column, found, "right"), np.ones(found.size)):
        return ranks[::-1]
    return np.flatnonzero(positive[np.argsort(-column, kind="stable")]) + 1


def _mean_precision(precision: np.ndarray) -> float:
    return float(precision.mean())


def _envelope(precision: np.ndarray) -> np.ndarray:
    return np.maximum.accumulate(precision[::-1])[::-1]


def _area(precision: np.ndarray) -> float:
    return float(_envelope(precision).mean())


def _eleven_points(precision: np.ndarray) -> float:
    # the first positive at which recall i/P reaches k/10 is i = ceil(k P / 10)
    first = np.maximum(-(-np.arange(11) * precision.size // 10), 1)
    return float(_envelope(precision)[first - 1].mean())


_FROM_PRECISION: dict[str, Callable[[np.ndarray], float]] = {
    "mean_precision": _mean_precision,
    "voc2012": _area,
    "voc2007_11point": _eleven_points,
}
