"""How well each image ranks its own labels: coverage error, ranking loss, LRAP, one-error."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlic_hf.metrics.cells import as_arrays, image_blocks


def ranking_metrics(scores: Any, targets: Any) -> dict[str, float]:
    """Means over images of four measures of the order of an image's known labels.

    For a true label i of an image with P true and N other labels, let R(i) be the known labels and T(i) the
    true labels that score at least as much (so a tie counts against the true label, as in scikit-learn and
    torchmetrics):

    - `coverage_error`: max over true labels of R(i); 0 for an image without true labels (scikit-learn's
      rule).
    - `ranking_loss`: sum over true labels of (R(i) - T(i)) / (P N); 0 where P or N is 0 (scikit-learn's
      rule).
    - `LRAP`, label ranking average precision: mean over true labels of T(i) / R(i); 1 where P is 0 (same
      rule).
    - `one_error`: share of images whose highest score is no true label; of several tied highest, their untrue
      share. Images without true labels are left out of this mean. 0 when there is no other image.

    Images of which no cell is known are left out everywhere.

    Args:
        scores: (images, labels).
        targets: (images, labels) of 1, 0 and -1.

    Returns:
        The four means.

    Raises:
        ValueError: every cell is left out; bad shapes, scores or targets.

    Source: Tsoumakas et al., "Mining Multi-label Data", section 7.
    """
    scores, targets = as_arrays(scores, targets)
    sums = np.zeros(4)
    images = with_positives = 0
    for score, positive, known in image_blocks(scores, targets):
        any_known = known.any(axis=1)
        rows = slice(None) if any_known.all() else any_known
        part, part_with_positives = _sums(np.where(known, score, -np.inf)[rows], positive[rows], known[rows])
        sums += part
        images += int(np.count_nonzero(any_known))
        with_positives += part_with_positives
    if images == 0:
        raise ValueError("every cell is left out (-1), so the ranking metrics are undefined.")
    means = sums / [images, images, images, max(with_positives, 1)]
    return dict(zip(("coverage_error", "ranking_loss", "LRAP", "one_error"), means.tolist()))


def _sums(scores: np.ndarray, positive: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, int]:
    """Sums over rows of the four measures; left-out cells carry -inf and so rank behind all others."""
    order = np.argsort(-scores, axis=1)
    ranked = np.take_along_axis(scores, order, axis=1)
    is_true = np.take_along_axis(positive, order, axis=1)
    end = _tie_ends(ranked)
    at_least = end + 1
    true_at_least = np.take_along_axis(np.cumsum(is_true, axis=1), end, axis=1)
    num_true = positive.sum(axis=1)
    num_other = known.sum(axis=1) - num_true
    coverage = np.where(is_true, at_least, 0).max(axis=1)
    pairs = np.where(is_true, at_least - true_at_least, 0).sum(axis=1)
    loss = pairs / np.maximum(num_true * num_other, 1)
    lrap = np.where(is_true, true_at_least / at_least, 0).sum(axis=1) / np.maximum(num_true, 1)
    has_true = num_true > 0
    highest_untrue = 1 - true_at_least[:, 0] / at_least[:, 0]
    sums = [coverage.sum(), loss.sum(), np.where(has_true, lrap, 1.0).sum(), highest_untrue[has_true].sum()]
    return np.array(sums, dtype=np.float64), int(np.count_nonzero(has_true))


def _tie_ends(ranked: np.ndarray) -> np.ndarray:
    """For each place of rows in descending order, the last place that holds the same value."""
    num_labels = ranked.shape[1]
    is_end = np.ones(ranked.shape, dtype=bool)
    is_end[:, :-1] = ranked[:, :-1] != ranked[:, 1:]
    places = np.where(is_end, np.arange(num_labels), num_labels)
    return np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1]
