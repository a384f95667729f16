"""The points of a label's precision-recall curve."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlic_hf.metrics.average_precision import hits_and_predicted
from mlic_hf.metrics.cells import as_arrays, label_cells


def precision_recall_curves(scores: Any, targets: Any) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Precision and recall at the score of every positive of every label; tied scores give one point.

    Args:
        scores: (images, labels).
        targets: (images, labels) of 1, 0 and -1 (left out).

    Returns:
        label -> (recall, precision), each (points,), recall ascending; labels without positives have no
        entry.

    Raises:
        ValueError: bad shapes, scores or targets.
    """
    scores, targets = as_arrays(scores, targets)
    curves = {}
    for label, column, positive, _ in label_cells(scores, targets):
        if positive.any():
            found, hits, predicted = hits_and_predicted(column, positive)
            _, first = np.unique(found, return_index=True)
            first = first[::-1]
            curves[label] = (hits[first] / found.size, hits[first] / predicted[first])
    return curves
