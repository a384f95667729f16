"""The labels of a data set with how often they occur and how well they are found: rows and a CSV file."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlic_hf.metrics import AveragePrecisionKind, per_label_metrics

Row = dict[str, Any]


def per_label_rows(
    scores: Any,
    targets: Any,
    names: Sequence[str],
    thresholds: Sequence[float],
    train_counts: Sequence[int] | None = None,
    kind: AveragePrecisionKind = "average_precision",
) -> list[Row]:
    """One dict a label, in the labels' order; what is undefined (no positive image) is None.

    Args:
        scores: (images, labels).
        targets: (images, labels) of 1, 0 and -1.
        names: (labels,) their names.
        thresholds: (labels,) what a prediction must reach.
        train_counts: (labels,) positive images in training, where known.
        kind: of average precision.
    """
    table = {name: column.tolist() for name, column in per_label_metrics(scores, targets, thresholds, kind).items()}
    rows = []
    for index, name in enumerate(names):
        row: Row = {"label": name}
        if train_counts is not None:
            row["train_positives"] = int(train_counts[index])
        row |= {column: _or_none(values[index]) for column, values in table.items()}
        rows.append(row | {"threshold": float(thresholds[index])})
    return rows


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write rows with a head line; an undefined value is an empty cell."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
