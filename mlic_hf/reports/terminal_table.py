"""The numbers of an evaluation as tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    console.print(_summary(metrics))
    console.print(_lowest(rows))


def _summary(metrics: Mapping[str, float]) -> Any:
    from rich.table import Table

    table = Table(title="evaluation", show_header=False)
    for group, names in _groups(metrics).items():
        values = [f"{name} {_format(name, metrics[name])}" for name in names if name in metrics]
        if values:
            table.add_row(group, "   ".join(values))
    return table


def _groups(metrics: Mapping[str, float]) -> dict[str, Sequence[str]]:
    """The fixed groups, the top-k numbers (whose k is in their names), and whatever else there is."""
    topk = [name for name in metrics if "_top" in name]
    placed = {name for names in _GROUPS.values() for name in names} | set(topk)
    rest = [name for name in metrics if name not in placed]
    groups: dict[str, Sequence[str]] = {}
    for group, names in _GROUPS.items():
        groups[group] = names
        if group == "at the threshold":
            groups["of the highest scores"] = topk
    return groups | {"more": rest}


def _lowest(rows: Sequence[Row]) -> Any:
    from rich.table import Table

    defined = sorted((row for row in rows if row["AP"] is not None), key=lambda row: row["AP"])
    shown = defined[:LABELS_SHOWN]
    title = "labels" if len(shown) == len(rows) else f"{len(shown)} of {len(rows)} labels, lowest AP first"
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="left" if column == "label" else "right")
    for row in shown:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _format(name: str, value: float) -> str:
    return f"{value:.0f}" if name in _WHOLE_NUMBERS else f"{value:.4f}"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
