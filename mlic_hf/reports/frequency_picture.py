"""Average precision of each label against how often it occurs: is the tail learned?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mlic_hf.reports.figure import figure, quiet_axes
from mlic_hf.reports.per_label_table import Row

NAMES_SHOWN = 16
# the room a name takes, as shares of the two axes
NAME_WIDTH, NAME_HEIGHT = 0.1, 0.025


def draw_average_precision_against_frequency(rows: Sequence[Row], path: Path) -> None:
    """Draw one point a label: positive images in training (in the evaluated set where unknown) and its AP.

    The lowest labels are named, and the highest where there is room. Labels without positive images (whose AP
    is undefined, or which a logarithmic axis cannot show) are counted in the title.

    Args:
        rows: of `per_label_rows`.
        path: of the PNG.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    in_training = "train_positives" in rows[0]
    key = "train_positives" if in_training else "positives"
    drawn = [row for row in rows if row["AP"] is not None and row[key] > 0]
    frequency = np.array([row[key] for row in drawn], dtype=float)
    precision = np.array([row["AP"] for row in drawn], dtype=float)
    with figure(path, 7.6, 5.0) as drawing:
        axes = drawing.add_subplot()
        axes.scatter(frequency, precision, s=26, color="#31688e", alpha=0.8, linewidths=0)
        axes.set_xscale("log")
        for index in _worth_a_name(np.log10(frequency), precision):
            axes.annotate(
                drawn[index]["label"],
                (frequency[index], precision[index]),
                xytext=(4, 3),
                textcoords="offset points",
                fontsize=7,
            )
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        where = "training" if in_training else "the evaluated set"
        axes.set(xlabel=f"positive images in {where}", ylabel="average precision", ylim=(0, 1.02))
        missing = len(rows) - len(drawn)
        axes.set_title(
            f"{len(drawn)} labels" + (f", {missing} more without positive images" if missing else ""), fontsize=11
        )
        quiet_axes(axes)


def _worth_a_name(log_frequency: np.ndarray, precision: np.ndarray) -> list[int]:
    """Labels from the two ends of the order by AP, lowest first, without those whose names would overlap."""
    order = np.argsort(precision, kind="stable").tolist()
    ends = order[: NAMES_SHOWN // 2] + order[NAMES_SHOWN // 2 :][::-1][: NAMES_SHOWN // 2]
    width = max(float(np.ptp(log_frequency)), 0.1) * NAME_WIDTH if order else 0.0
    named: list[int] = []
    for index in ends:
        beside = np.abs(log_frequency[named] - log_frequency[index]) < width
        if not (beside & (np.abs(precision[named] - precision[index]) < NAME_HEIGHT)).any():
            named.append(index)
    return named
