"""A page on a model: how good it is at what, and the pictures it is most wrong about, in one HTML file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mlic_hf.metrics import average_precision, bootstrap_map, multilabel_metrics, paired_bootstrap_map
from mlic_hf.reports.co_occurrence_picture import draw_co_occurrence
from mlic_hf.reports.frequency_picture import draw_average_precision_against_frequency
from mlic_hf.reports.page import picture, section, table, write_page
from mlic_hf.reports.per_label_table import Row, per_label_rows
from mlic_hf.reports.precision_recall_picture import draw_precision_recall
from mlic_hf.reports.reliability_picture import draw_reliability
from mlic_hf.reports.terminal_table import groups_of, number

FEWEST = 15  # positives of a label that its own interval is told for: fewer are missing from some resamples
CELLS_TOLD = 3  # under a picture


def write_evaluation_page(
    path: str | Path,
    title: str,
    scores: np.ndarray,
    targets: np.ndarray,
    names: Sequence[str],
    pictures: Sequence[Any],
    *,
    thresholds: Any = None,
    train_counts: Sequence[int] | None = None,
    compare: Mapping[str, np.ndarray] | None = None,
    resamples: int = 1000,
    images: int = 24,
) -> None:
    """Write the page.

    Args:
        path: of the HTML file.
        title: what was evaluated, and on what.
        scores: (N, C) probabilities.
        targets: (N, C) of 1, 0 and -1 (left out).
        names: (C,) label names.
        pictures: (N,) of rows {image, image_id}; only those that are shown are read.
        thresholds: one or (C,); 0.5 by default.
        train_counts: (C,) positive images in training.
        compare: name of another model to its scores (N, C) of the same images and labels.
        resamples: of the bootstrap intervals.
        images: pictures that are shown.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: as `multilabel_metrics`.
    """
    each = np.broadcast_to(np.asarray(0.5 if thresholds is None else thresholds, float), (len(names),))
    metrics = multilabel_metrics(scores, targets, each)
    interval = bootstrap_map(scores, targets, resamples)
    metrics |= {"mAP_low": interval.low, "mAP_high": interval.high}
    rows = per_label_rows(scores, targets, names, each.tolist(), train_counts)
    parts = [f"<h1>{escape(title)}</h1>", _numbers(metrics)]
    for name, other in (compare or {}).items():
        parts.append(section(f"Against {name}", _comparison(scores, other, targets, names, name, resamples)))
    parts += [
        section("Labels", _labels(rows)),
        section("Curves", _drawn(lambda p: draw_precision_recall(scores, targets, names, p))),
        section("Frequency", _drawn(lambda p: draw_average_precision_against_frequency(rows, p))),
        section("Calibration", _drawn(lambda p: draw_reliability({"scores": scores}, targets, p))),
        section("Co-occurrence", _drawn(lambda p: draw_co_occurrence(scores, targets, names, each.tolist(), p))),
        section("Most wrong", _most_wrong(scores, targets, names, each, pictures, images)),
    ]
    write_page(path, title, parts)


def _numbers(metrics: Mapping[str, float]) -> str:
    """The groups of numbers that the terminal shows."""
    lines = []
    for group, members in groups_of(metrics).items():
        cells = [f"{escape(name)} <b>{number(name, metrics[name])}</b>" for name in members if name in metrics]
        if cells:
            lines.append([escape(group), " &nbsp; ".join(cells)])
    return table(["", ""], lines)


def _labels(rows: Sequence[Row]) -> str:
    """Every label with a bar of its average precision, the lowest first."""
    columns = [column for column in rows[0] if column != "label"]

    def cell(value: Any) -> str:
        return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else f"{value:,}"

    lines = []
    for row in sorted(rows, key=lambda row: (row["AP"] is None, row["AP"])):
        bar = f'<span class="bar" style="width:{140 * (row["AP"] or 0):.0f}px;background:#3b6ea8"></span>'
        lines.append([escape(row["label"]), bar, *(cell(row[column]) for column in columns)])
    head = ["label", "", *map(escape, columns)]
    return f'<div class="tall">{table(head, lines, range(2, len(head)))}</div>'


def _comparison(
    scores: np.ndarray, other: np.ndarray, targets: np.ndarray, names: Sequence[str], name: str, resamples: int
) -> str:
    """mAP of both, and the difference of every label, with intervals; the largest loss first."""

    def told(columns: Any) -> tuple[float, str]:
        gain = paired_bootstrap_map(scores[:, columns], other[:, columns], targets[:, columns], resamples)
        kind = "" if gain.low <= 0 <= gain.high else ' style="font-weight:600"'
        cell = f"<span{kind}>{100 * gain.value:+.2f} ({100 * gain.low:+.2f} to {100 * gain.high:+.2f})</span>"
        return gain.value, cell

    pair = [average_precision(found, targets) for found in (scores, other)]
    means = [100 * float(np.nanmean(values)) for values in pair]
    lines = []
    for label, positives in enumerate((targets == 1).sum(axis=0)):
        if positives:
            ours, theirs = (100 * float(values[label]) for values in pair)
            gain, cell = told([label]) if positives >= FEWEST else ((ours - theirs) / 100, f"{ours - theirs:+.2f}")
            lines.append((gain, [escape(names[label]), int(positives), f"{ours:.2f}", f"{theirs:.2f}", cell]))
    lines.sort(key=lambda line: line[0])
    head = ["label", "positives", "AP", f"AP of {escape(name)}", "difference, 95 %"]
    everything = ["all (mAP)", "", f"{means[0]:.2f}", f"{means[1]:.2f}", told(slice(None))[1]]
    note = f'<p class="dim">Bold: the interval excludes 0. None is told for labels of fewer than {FEWEST} images.</p>'
    shown = table(head, [everything, *(cells for _, cells in lines)], range(1, 5))
    return f'<div class="tall">{shown}</div>{note}'


def _drawn(draw: Any) -> str:
    """A picture of the reports, inside the page."""
    with TemporaryDirectory(prefix="mlic-page-") as folder:
        path = Path(folder) / "drawn.png"
        draw(path)
        data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="" style="max-width:100%" src="data:image/png;base64,{data}">'


def most_wrong(scores: np.ndarray, targets: np.ndarray, count: int) -> np.ndarray:
    """The images whose known cells have the highest mean cross-entropy, the worst first.

    Args:
        scores: (N, C) probabilities.
        targets: (N, C) of 1, 0 and -1 (left out).
        count: how many.
    """
    known = targets >= 0
    right = np.clip(np.where(targets == 1, scores, 1 - scores), 1e-7, 1)
    cost = (-np.log(right) * known).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.argsort(-cost, kind="stable")[:count]


def _most_wrong(
    scores: np.ndarray, targets: np.ndarray, names: Sequence[str], thresholds: np.ndarray, pictures: Any, count: int
) -> str:
    figures = []
    for place in most_wrong(scores, targets, count):
        score, target = scores[place], targets[place]
        missed = [c for c in np.argsort(score, kind="stable") if target[c] == 1 and score[c] < thresholds[c]]
        wrong = [c for c in np.argsort(-score, kind="stable") if target[c] == 0 and score[c] >= thresholds[c]]
        said = []
        for word, labels in (("missed", missed), ("not there", wrong)):
            cells = ", ".join(f"{escape(names[c])} {score[c]:.2f}" for c in labels[:CELLS_TOLD])
            more = f" and {len(labels) - CELLS_TOLD} more" if len(labels) > CELLS_TOLD else ""
            said += [f'<span class="dim">{word}</span> {cells}{more}'] if labels else []
        row = pictures[int(place)]
        identity = str(row["image_id"])
        caption = "<br>".join([*said, f'<span class="dim">{escape(identity[-40:])}</span>'])
        figures.append(picture(row["image"], identity, caption))
    told = "Highest mean cross-entropy over the known labels of a picture; what is said is what its thresholds decide."
    return f'<p class="dim">{told}</p><div class="sheet">{"".join(figures)}</div>'
