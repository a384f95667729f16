"""Precision-recall curves: the mean over labels, and the labels that are found best and worst."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlic_hf.metrics import average_precision, precision_recall_curves
from mlic_hf.reports.figure import figure, quiet_axes

CURVES_SHOWN = 10


def draw_precision_recall(scores: Any, targets: Any, names: Sequence[str], path: Path) -> None:
    """Draw the curves of all labels, or of the five best and five worst by average precision, and the mean of all.

    The mean curve is the mean over labels of the precision at each recall, interpolated as in VOC 2012 (the
    highest precision at that recall or beyond).

    Args:
        scores: (images, labels).
        targets: (images, labels) of 1, 0 and -1; one label at least has a positive image.
        names: (labels,) their names.
        path: of the PNG.
    """
    from matplotlib import colormaps

    curves = precision_recall_curves(scores, targets)
    precision = average_precision(scores, targets)
    best_first = sorted(curves, key=lambda label: -precision[label])
    shown = best_first
    if len(shown) > CURVES_SHOWN:
        shown = best_first[: CURVES_SHOWN // 2] + best_first[-CURVES_SHOWN // 2 :]
    with figure(path, 8.4, 5.2) as drawing:
        axes = drawing.add_subplot()
        colours = colormaps["viridis"](np.linspace(0, 0.92, len(shown)))
        for label, colour in zip(shown, colours):
            recall, height = curves[label]
            recall, height = np.append(0, recall), np.append(height[0], height)
            name = f"{names[label]}  {precision[label]:.3f}"
            axes.step(recall, height, where="pre", color=colour, linewidth=1.3, label=name)
        grid = np.linspace(0, 1, 201)
        mean = np.mean([_interpolated(*curves[label], grid) for label in curves], axis=0)
        name = f"mean of {len(curves)} labels  {np.mean(precision[best_first]):.3f}"
        axes.plot(grid, mean, color="black", linewidth=2.4, label=name)
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        kept = "" if len(shown) == len(curves) else f", the {len(shown)} labels of highest and lowest AP"
        axes.set_title(f"precision and recall{kept}", fontsize=11)
        quiet_axes(axes)
        axes.legend(
            title="label, AP", loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8, frameon=False, title_fontsize=8
        )


def _interpolated(recall: np.ndarray, precision: np.ndarray, grid: np.ndarray) -> np.ndarray:
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return envelope[np.minimum(np.searchsorted(recall, grid - 1e-12), envelope.size - 1)]
