"""Losses and mAP of a run while it was trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlic_hf.reports.figure import figure, quiet_axes

# panels and their curves: transformers' names in a log and the words of a legend. The two losses have their own
# panels, as the one is the sum of a method's terms and the other the mean binary cross-entropy.
PANELS: dict[str, dict[str, str]] = {
    "loss in training": {"loss": "all terms"},
    "loss on validation": {"eval_loss": "binary cross-entropy"},
    "mAP on validation": {"eval_plain_mAP": "plain weights", "eval_ema_mAP": "averaged weights", "eval_mAP": "all"},
}
COLOURS = ("#31688e", "#d95f02")


def curve(log: Sequence[Mapping[str, Any]], name: str) -> tuple[list[float], list[float]]:
    """Epochs and values of one measure, where it is a finite number, in the order of the epochs."""
    found = {
        float(line["epoch"]): float(line[name])
        for line in log
        if isinstance(line.get(name), (int, float)) and "epoch" in line and math.isfinite(line[name])
    }
    return sorted(found), [found[epoch] for epoch in sorted(found)]


def draw_curves(log: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the losses and the mAP on validation against epochs, side by side.

    Args:
        log: the `log` of a run.json (transformers' log history).
        path: of the PNG.

    Raises:
        ValueError: the log holds none of them.
    """
    panels = {
        panel: {words: curve(log, name) for name, words in names.items() if curve(log, name)[0]}
        for panel, names in PANELS.items()
    }
    if len(panels["mAP on validation"]) > 1:  # what was chosen is one of the two
        panels["mAP on validation"].pop("all", None)
    panels = {panel: curves for panel, curves in panels.items() if curves}
    if not panels:
        raise ValueError(f"The log has {len(log)} lines and none with a loss or an mAP, so there is nothing to draw.")
    with figure(path, 3.6 * len(panels), 3.0) as drawing:
        for place, (panel, curves) in enumerate(panels.items(), start=1):
            axes = drawing.add_subplot(1, len(panels), place)
            for colour, (words, (epochs, values)) in zip(COLOURS, curves.items()):
                axes.plot(epochs, values, color=colour, label=words, marker="o", markersize=2.5, linewidth=1.2)
            axes.set(xlabel="epoch", ylabel=panel)
            if len(curves) > 1:
                axes.legend(fontsize=7, frameon=False)
            quiet_axes(axes)
