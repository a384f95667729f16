"""Area under the ROC curve, per label."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlic_hf.metrics.cells import as_arrays, label_cells


def roc_auc(scores: Any, targets: Any) -> np.ndarray:
    """For every label the share of (positive, negative) image pairs in the right order; ties count a half.

    Args:
        scores: (images, labels).
        targets: (images, labels) of 1, 0 and -1 (left out).

    Returns:
        (labels,) float64; NaN for a label without a known positive or without a known negative image (the
        means leave it out; scikit-learn gives NaN with a warning too, torchmetrics gives 0).

    Raises:
        ValueError: bad shapes, scores or targets.
    """
    scores, targets = as_arrays(scores, targets)
    result = np.full(scores.shape[1], np.nan)
    for label, column, positive, _ in label_cells(scores, targets):
        found, others = np.sort(column[positive]), np.sort(column[~positive])
        if found.size and others.size:
            below = np.searchsorted(others, found, side="left").sum()
            not_above = np.searchsorted(others, found, side="right").sum()
            result[label] = (below + not_above) / 2 / (found.size * others.size)
    return result
