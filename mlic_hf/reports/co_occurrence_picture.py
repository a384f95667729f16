"""Which labels occur together, in truth and in predictions, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlic_hf.reports.figure import figure

LABELS_SHOWN = 40


def co_occurrence(decisions: np.ndarray) -> np.ndarray:
    """Share of the images with label i that also have label j; the diagonal and rows of absent labels are NaN.

    Args:
        decisions: (images, labels) bool.

    Returns:
        (labels, labels) float64 in [0, 1] or NaN.
    """
    cells = decisions.astype(np.float64)
    together = cells.T @ cells
    counts = np.diag(together).copy()
    with np.errstate(invalid="ignore"):
        shares = together / np.where(counts > 0, counts, np.nan)[:, None]
    np.fill_diagonal(shares, np.nan)
    return shares


def draw_co_occurrence(
    scores: Any, targets: Any, names: Sequence[str], thresholds: Sequence[float], path: Path
) -> None:
    """Draw the two matrices and their difference, for all labels or the 40 most frequent ones.

    Rows give P(column | row): the share of the images with the row's label that have the column's; see
    `co_occurrence`. Predictions for left-out cells (-1) are not counted, so that both matrices speak of the
    same cells.

    Args:
        scores: (images, labels).
        targets: (images, labels) of 1, 0 and -1.
        names: (labels,) their names.
        thresholds: (labels,) what a prediction must reach.
        path: of the PNG.
    """
    scores, targets = np.asarray(scores), np.asarray(targets)
    truth = targets == 1
    predicted = (scores >= np.asarray(thresholds, dtype=scores.dtype)) & (targets != -1)
    shown = np.sort(np.argsort(-truth.sum(axis=0), kind="stable")[:LABELS_SHOWN])
    matrices = [co_occurrence(truth[:, shown]), co_occurrence(predicted[:, shown])]
    kept = [names[label] for label in shown]
    size = max(3.4, 0.13 * len(kept) + 1.4)
    with figure(path, 3 * size + 1.2, size + 0.4) as drawing:
        axes = drawing.subplots(1, 3)
        for axis, matrix, title in zip(axes, matrices, ("truth", "predictions")):
            image = _draw_matrix(axis, matrix, kept, title, "viridis", 0, 1)
        drawing.colorbar(image, ax=axes[1], shrink=0.8, label="P(column | row)")
        difference = matrices[1] - matrices[0]
        limit = max(0.1, float(np.nanmax(np.abs(difference), initial=0)))
        image = _draw_matrix(axes[2], difference, kept, "predictions - truth", "RdBu_r", -limit, limit)
        drawing.colorbar(image, ax=axes[2], shrink=0.8)
        if len(kept) < len(names):
            drawing.suptitle(f"the {len(kept)} most frequent of {len(names)} labels", fontsize=10)


def _draw_matrix(
    axis: Any, matrix: np.ndarray, names: Sequence[str], title: str, colours: str, low: float, high: float
) -> Any:
    from matplotlib import colormaps

    colour_map = colormaps[colours].with_extremes(bad="0.85")
    image = axis.imshow(matrix, cmap=colour_map, vmin=low, vmax=high, interpolation="nearest")
    axis.set_title(title, fontsize=10)
    font = 8 if len(names) <= 20 else 5
    axis.set_xticks(range(len(names)), names, rotation=90, fontsize=font)
    axis.set_yticks(range(len(names)), names, fontsize=font)
    axis.tick_params(length=0)
    return image
