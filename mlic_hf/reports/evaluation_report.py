"""One call that says how good a model is: tables, files and pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlic_hf.metrics import AveragePrecisionKind, bootstrap_map, multilabel_metrics
from mlic_hf.reports.co_occurrence_picture import draw_co_occurrence
from mlic_hf.reports.frequency_picture import draw_average_precision_against_frequency
from mlic_hf.reports.per_label_table import Row, per_label_rows, write_csv
from mlic_hf.reports.precision_recall_picture import draw_precision_recall
from mlic_hf.reports.terminal_table import print_tables

FORMAT_VERSION = 1


def evaluation_report(
    scores: Any,
    targets: Any,
    names: Sequence[str],
    out_dir: str | Path,
    train_counts: Sequence[int] | None = None,
    thresholds: Any = None,
    topk: int | None = 3,
    kind: AveragePrecisionKind = "average_precision",
    resamples: int = 0,
    about: Mapping[str, Any] | None = None,
    console: Any = None,
) -> dict[str, float]:
    """Measure, print, and write `metrics.json`, `per_label.csv` and three pictures into a folder.

    The pictures: `precision_recall.png`, `ap_against_frequency.png`, `co_occurrence.png`.

    Args:
        scores: (images, labels) probabilities.
        targets: (images, labels) of 1, 0 and -1 (left out).
        names: (labels,) their names, in the columns' order.
        out_dir: created where it does not exist; files of these names are replaced.
        train_counts: (labels,) positive images of each label in training, for the frequency picture and the
            table.
        thresholds: one number or (labels,); 0.5 for all by default.
        topk: of the `*_top{k}` numbers; None for none.
        kind: of average precision.
        resamples: of the 95 % bootstrap interval of mAP (`mAP_low`, `mAP_high`; kind `average_precision`
            only); 0 for no interval.
        about: what else belongs in `metrics.json` (model, data set, split, seed); JSON values.
        console: a `rich.console.Console`; the standard one by default.

    Returns:
        The flat dict of `multilabel_metrics`, with the interval where asked for.

    Raises:
        ValueError: names or train_counts do not fit the scores, an interval for another kind; as
            `multilabel_metrics`.
        ImportError: rich or matplotlib is missing (`pip install 'mlic_hf[reports]'`).
    """
    scores, targets = _as_numpy(scores), _as_numpy(targets)
    _check_lengths(scores, names, train_counts)
    if resamples and kind != "average_precision":
        raise ValueError(f"the bootstrap interval is of kind 'average_precision', not {kind!r}; set resamples to 0.")
    each = np.broadcast_to(np.asarray(0.5 if thresholds is None else _as_numpy(thresholds), float), (len(names),))
    metrics = multilabel_metrics(scores, targets, each, topk, kind)
    if resamples:
        interval = bootstrap_map(scores, targets, resamples)
        metrics |= {"mAP_low": interval.low, "mAP_high": interval.high}
    rows = per_label_rows(scores, targets, names, each.tolist(), train_counts, kind)
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    content = {**(about or {}), "average_precision_kind": kind, "metrics": metrics}
    _write_json(folder / "metrics.json", content, rows)
    write_csv(rows, folder / "per_label.csv")
    draw_precision_recall(scores, targets, names, folder / "precision_recall.png")
    draw_average_precision_against_frequency(rows, folder / "ap_against_frequency.png")
    draw_co_occurrence(scores, targets, names, each.tolist(), folder / "co_occurrence.png")
    print_tables(metrics, rows, console)
    return metrics


def _write_json(path: Path, content: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """The numbers, the thresholds by name, and the labels that no mean over labels holds."""
    thresholds = {row["label"]: row["threshold"] for row in rows}
    left_out = [row["label"] for row in rows if row["AP"] is None]
    whole = {"format_version": FORMAT_VERSION, **content, "thresholds": thresholds, "left_out_of_means": left_out}
    text = json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _as_numpy(values: Any) -> np.ndarray:
    if hasattr(values, "detach"):  # a torch tensor
        values = values.detach().cpu().float().numpy()
    return np.asarray(values)


def _check_lengths(scores: np.ndarray, names: Sequence[str], train_counts: Sequence[int] | None) -> None:
    num_labels = scores.shape[1] if scores.ndim == 2 else -1
    if len(names) != num_labels or len(set(names)) != len(names):
        raise ValueError(
            f"{len(names)} label names ({len(set(names))} different) for scores of shape {scores.shape}; expected one "
            "name for each column of (images, labels), no two alike."
        )
    if train_counts is not None and len(train_counts) != num_labels:
        raise ValueError(f"{len(train_counts)} training counts for {num_labels} labels; expected one for each.")
