"""How far independent label probabilities can be believed: reliability and expected calibration error."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlic_hf.metrics.cells import as_arrays, image_blocks


class Reliability(NamedTuple):
    """For each of some equally wide bins of probability: cells, their mean probability, their share of positives.

    The two shares of an empty bin are NaN.
    """

    cells: np.ndarray
    probability: np.ndarray
    positives: np.ndarray


def reliability(scores: Any, targets: Any, bins: int = 15) -> Reliability:
    """What `calibration_error` adds up: predicted probability against observed frequency, bin by bin.

    Args:
        scores: (images, labels) probabilities.
        targets: (images, labels) of 1, 0 and -1 (left out).
        bins: how many bins, [a, b), the last closed.

    Raises:
        ValueError: scores outside [0, 1], every cell left out, bins < 1; bad shapes or targets.
    """
    cells, probability, positives = _bins(scores, targets, bins)
    with np.errstate(invalid="ignore"):
        return Reliability(cells, probability / cells, positives / cells)


def calibration_error(scores: Any, targets: Any, bins: int = 15) -> float:
    """How far predicted probabilities lie from observed frequencies, over all known cells.

    Every cell is a yes/no forecast. The cells are put in `bins` equally wide bins of probability, [a, b), the
    last closed; the error is the sum over bins of |mean probability - share of positives| x share of the
    cells.

    Differs from the multi-class definition, where only an image's highest class counts.

    Args:
        scores: (images, labels) probabilities.
        targets: (images, labels) of 1, 0 and -1 (left out).
        bins: how many bins.

    Returns:
        A number in [0, 1]; 0 is perfect.

    Raises:
        ValueError: scores outside [0, 1], every cell left out, bins < 1; bad shapes or targets.

    Source: Naeini et al. 2015 (ECE), in its binary form as in torchmetrics'
    `BinaryCalibrationError(norm="l1")`.
    """
    cells, probability, positives = _bins(scores, targets, bins)
    return float(np.abs(probability - positives).sum() / cells.sum())


def _bins(scores: Any, targets: Any, bins: int) -> np.ndarray:
    """(3, bins): cells, the sum of their probabilities and their positives."""
    if bins < 1:
        raise ValueError(f"bins is {bins}; expected a whole number of at least 1.")
    scores, targets = as_arrays(scores, targets)
    inner_edges = np.linspace(0, 1, bins + 1)[1:-1].astype(scores.dtype)
    count, total, positives = sums = np.zeros((3, bins))
    for score, positive, known in image_blocks(scores, targets):
        _check_probabilities(score)
        values = score[known]
        place = np.searchsorted(inner_edges, values, side="right")
        count += np.bincount(place, minlength=bins)
        positives += np.bincount(place, weights=positive[known], minlength=bins)
        total += np.bincount(place, weights=values, minlength=bins)
    if count.sum() == 0:
        raise ValueError("every cell is left out (-1), so the calibration error is undefined.")
    return sums


def _check_probabilities(scores: np.ndarray) -> None:
    low, high = scores.min(), scores.max()
    if low < 0 or high > 1:
        raise ValueError(
            f"scores reach from {low:.4g} to {high:.4g}; probabilities in [0, 1] are expected "
            "(apply a sigmoid to logits)."
        )
