"""The reliability picture: predicted probability against observed frequency, before and after calibration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlic_hf.metrics import calibration_error, reliability
from mlic_hf.reports.figure import figure, quiet_axes


def draw_reliability(scores: Mapping[str, Any], targets: Any, path: Path, bins: int = 15) -> None:
    """Draw one curve for each set of probabilities over the diagonal, and how many cells each bin holds below.

    Args:
        scores: name -> (images, labels) probabilities, such as {"before": ..., "after": ...}.
        targets: (images, labels) of 1, 0 and -1.
        path: of the PNG.
        bins: of probability.
    """
    with figure(path, 5.6, 6.2) as drawing:
        above, below = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        above.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
        for name, values in scores.items():
            cells, probability, positives = reliability(values, targets, bins)
            filled = cells > 0
            label = f"{name}: error {100 * calibration_error(values, targets, bins):.2f} %"
            (line,) = above.plot(probability[filled], positives[filled], marker="o", markersize=4, label=label)
            below.step(probability[filled], cells[filled], where="mid", color=line.get_color())
        above.set(ylabel="share of positives", xlim=(0, 1), ylim=(0, 1))
        below.set(xlabel="predicted probability", ylabel="cells", yscale="log")
        above.legend(frameon=False, fontsize=9)
        for axes in (above, below):
            quiet_axes(axes)
