"""L2D's F1: every image predicts as many labels as it truly has."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlic_hf.metrics.cells import as_arrays, image_blocks


def count_based_f1(scores: Any, targets: Any) -> dict[str, float]:
    """Micro F1 and mean F1 over labels when an image with k true labels predicts its k highest scores.

    A label is predicted when its score is strictly above the image's (k+1)-th highest, so a tie there
    predicts fewer than k labels. Left-out cells take no part: they neither compete nor count. Labels without
    positives are left out of the mean of CF1 (their F1 could only be 0) and counted in OF1.

    Args:
        scores: (images, labels).
        targets: (images, labels) of 1, 0 and -1.

    Returns:
        `OF1` = 2 hits / (predicted + positives) over all cells, `CF1` = mean over labels of the same.

    Raises:
        ValueError: no label has a positive image; bad shapes, scores or targets.

    Source: the published evaluation of L2D (multi-label knowledge distillation).
    """
    scores, targets = as_arrays(scores, targets)
    hits, total = np.zeros((2, scores.shape[1]), dtype=np.int64)
    positives = np.zeros(scores.shape[1], dtype=np.int64)
    for score, positive, known in image_blocks(scores, targets):
        decided = _above_the_next(np.where(known, score, -np.inf), positive.sum(axis=1)) & known
        hits += np.count_nonzero(decided & positive, axis=0)
        positives += np.count_nonzero(positive, axis=0)
        total += np.count_nonzero(decided, axis=0) + np.count_nonzero(positive, axis=0)
    if not positives.any():
        raise ValueError("no label has a positive image among the known cells, so F1 is undefined.")
    has_positives = positives > 0
    return {
        "OF1": float(2 * hits.sum() / total.sum()),
        "CF1": float((2 * hits[has_positives] / total[has_positives]).mean()),
    }


def _above_the_next(scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Scores strictly above their row's (counts + 1)-th highest; with no such score, all of the row."""
    ordered = np.concatenate([np.full((len(scores), 1), -np.inf), np.sort(scores, axis=1)], axis=1)
    following = ordered[np.arange(len(scores)), scores.shape[1] - counts]
    return scores > following[:, None]
