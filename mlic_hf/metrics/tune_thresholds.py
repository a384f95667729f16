"""The threshold of every label that gives the highest F1 on a validation set."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlic_hf.metrics.average_precision import hits_and_predicted
from mlic_hf.metrics.cells import as_arrays, label_cells


def tune_thresholds(scores: Any, targets: Any, default: float = 0.5) -> np.ndarray:
    """For each label the cut `score >= threshold` with the highest F1 over its known images.

    Exact: every cut between two different scores is considered (only those at a positive's score can be
    best). Of several best cuts the highest is taken, the one that predicts fewest images. The threshold is
    the lowest score that is still predicted, an observed value, so it survives being written as float32 or
    float64.

    Args:
        scores: (images, labels) of a set that was not trained on.
        targets: (images, labels) of 1, 0 and -1 (left out).
        default: the threshold of labels without a known positive image, about which the set says nothing.

    Returns:
        (labels,) float64.

    Raises:
        ValueError: bad shapes, scores or targets.
    """
    scores, targets = as_arrays(scores, targets)
    thresholds = np.full(scores.shape[1], default, dtype=np.float64)
    for label, column, positive, _ in label_cells(scores, targets):
        if positive.any():
            found, hits, predicted = hits_and_predicted(column, positive)
            f1 = 2 * hits / (predicted + found.size)
            thresholds[label] = found[f1.size - 1 - np.argmax(f1[::-1])]
    return thresholds
