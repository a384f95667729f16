"""The numbers of an evaluation as tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from mlic_hf.reports.per_label_table import Row

# name of the group, and what its metrics' names start with or are
_GROUPS = {
    "average precision": ("mAP", "mAP_low", "mAP_high"),
    "at the threshold": ("CP", "CR", "CF1", "OP", "OR", "OF1", "hamming_loss", "subset_accuracy"),
    "as many as are true": ("count_OF1", "count_CF1"),
    "order of an image's labels": ("coverage_error", "ranking_loss", "LRAP", "one_error"),
    "others": ("AUC", "calibration_error"),
    "counts": ("images", "labels_without_positives", "labels_without_negatives"),
}
_WHOLE_NUMBERS = _GROUPS["counts"]
LABELS_SHOWN = 12
# what fits on 80 columns beside the label, and its heading; the others stand in per_label.csv and on the page
_COLUMNS = {
    "train_positives": "train",
    "positives": "images",
    "AP": "AP",
    "precision": "precision",
    "recall": "recall",
    "F1": "F1",
    "threshold": "threshold",
}


def print_tables(metrics: Mapping[str, float], rows: Sequence[Row], console: Any = None) -> None:
    """Print the metrics in groups, then the labels with the lowest average precision.

    Args:
        metrics: the flat dict of `multilabel_metrics`.
        rows: of `per_label_rows`.
        console: a `rich.console.Console`; the standard one by default.
    """
    try:
        from rich.console import Console
    except ImportError as error:
        raise ImportError("tables need rich: pip install 'mlic_hf[reports]'") from error
    console = console or Console()
    console.print(_summary(metrics, console.width))
    console.print(_lowest(rows, console.width))


def _summary(metrics: Mapping[str, float], width: int) -> Any:
    from rich.table import Table

    table = Table(title="evaluation", show_header=False)
    for group, names in groups_of(metrics).items():
        values = [f"{name}\u00a0{number(name, metrics[name])}" for name in names if name in metrics]
        if values:
            table.add_row(group, "\n".join(wrap("   ".join(values), max(20, width - 33))))
    return table


def groups_of(metrics: Mapping[str, float]) -> dict[str, Sequence[str]]:
    """Names of metrics by group: the fixed ones, the top-k numbers (their names hold k), and what else there is."""
    topk = [name for name in metrics if "_top" in name]
    placed = {name for names in _GROUPS.values() for name in names} | set(topk)
    rest = [name for name in metrics if name not in placed]
    groups: dict[str, Sequence[str]] = {}
    for group, names in _GROUPS.items():
        groups[group] = names
        if group == "at the threshold":
            groups["of the highest scores"] = topk
    return groups | {"more": rest}


def _lowest(rows: Sequence[Row], width: int) -> Any:
    from rich import box
    from rich.table import Table

    defined = sorted((row for row in rows if row["AP"] is not None), key=lambda row: row["AP"])
    shown = defined[:LABELS_SHOWN]
    title = "labels" if len(shown) == len(rows) else f"{len(shown)} of {len(rows)} labels, lowest AP first"
    columns = [column for column in _COLUMNS if column in rows[0]]
    cells = [[_cell(row[column]) for column in columns] for row in shown]
    widths = [max(map(len, [_COLUMNS[column], *column_cells])) for column, column_cells in zip(columns, zip(*cells))]
    table = Table(title=title, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    left = max(8, width - sum(widths) - 3 * len(widths))  # numbers are never cut, names are
    table.add_column("label", no_wrap=True, overflow="ellipsis", max_width=left)
    for column, column_width in zip(columns, widths):
        table.add_column(_COLUMNS[column], justify="right", no_wrap=True, min_width=column_width)
    for row, numbers in zip(shown, cells):
        table.add_row(row["label"], *numbers)
    return table


def number(name: str, value: float) -> str:
    """A metric's value as it is shown."""
    return f"{value:.0f}" if name in _WHOLE_NUMBERS else f"{value:.4f}"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
