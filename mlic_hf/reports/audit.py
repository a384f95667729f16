"""The cells of a data set whose labels are probably wrong: a ranked list, a table to decide in, a page to look at."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mlic_hf.data import LabelSpace, without_images
from mlic_hf.data.multi_label_dataset import undecoded
from mlic_hf.metrics import ConfidentCounts, confident_counts, suspicion
from mlic_hf.reports.page import picture, section, table, write_page

COLUMNS = ("rank", "image_id", "label", "listed", "score", "correct")


class Cell(NamedTuple):
    """One label of one image.

    Attributes:
        rank: from 1, the most suspicious first.
        image: its place among the rows.
        label: its place among the labels.
        listed: what the data says.
        score: the probability of the label by models that have not seen it.
    """

    rank: int
    image: int
    label: int
    listed: bool
    score: float


def rank_cells(scores: np.ndarray, targets: np.ndarray, most: int, each: int) -> list[Cell]:
    """The most suspicious cells, those first whose label is least likely; ties in the order of the images.

    Args:
        scores: (images, labels) probabilities of models that have not seen these labels.
        targets: (images, labels) of 1, 0 and -1; unknown ones are not ranked.
        most: how many.
        each: how many of each kind, listed and not listed, are there in any case.
    """
    doubt = suspicion(scores, targets)
    order = np.argsort(-doubt, axis=None, kind="stable")[: int((targets >= 0).sum())]
    listed = targets.reshape(-1)[order] == 1
    wanted = np.arange(len(order)) < most
    for kind in (listed, ~listed):
        wanted[np.flatnonzero(kind)[:each]] = True
    cells = []
    for rank in np.flatnonzero(wanted):
        image, label = divmod(int(order[rank]), targets.shape[1])
        cells.append(Cell(int(rank) + 1, image, label, bool(listed[rank]), float(scores[image, label])))
    return cells


def write_cells(cells: Sequence[Cell], image_ids: Sequence[str], names: Sequence[str], path: Path) -> None:
    """A table with an empty column `correct`: 1, 0 or -1 there is what the data option `corrections` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for cell in cells:
            score = f"{cell.score:.6f}"
            writer.writerow([cell.rank, image_ids[cell.image], names[cell.label], int(cell.listed), score, ""])


def write_audit_page(
    rows: Any,
    names: Sequence[str],
    cells: Sequence[Cell],
    counts: ConfidentCounts,
    path: Path,
    title: str,
    each: int,
) -> None:
    """The page: counts a label, then the most suspicious cells of each kind with their pictures.

    Args:
        rows: of the split that was audited.
        names: (labels,) of the cells.
        cells: of `rank_cells`.
        counts: of `confident_counts`.
        path: of the HTML file.
        title: what was audited.
        each: pictures of each kind.
    """
    space = LabelSpace.from_dataset(rows)
    marks = list(without_images(rows))
    pictures = undecoded(rows)
    parts = [f"<h1>{escape(title)}</h1>", section("Labels", _counts(names, counts))]
    for kind, heading in ((True, "Listed, but unlikely"), (False, "Likely, but not listed")):
        figures = []
        for cell in [cell for cell in cells if cell.listed == kind][:each]:
            mark = marks[cell.image]
            others = [space.names[label] for label in mark["labels"] if space.names[label] != names[cell.label]]
            caption = _caption(cell, names[cell.label], others, mark["image_id"])
            figures.append(picture(pictures[cell.image]["image"], mark["image_id"], caption))
        parts.append(section(f"{heading}: the first {len(figures)}", f'<div class="sheet">{"".join(figures)}</div>'))
    write_page(path, title, parts)


def _caption(cell: Cell, label: str, others: Sequence[str], image_id: str) -> str:
    return (
        f"<b>{escape(label)}</b> {100 * cell.score:.1f} %<br>{escape(', '.join(others)) or 'no other label'}<br>"
        f'<span class="dim">{cell.rank}. {escape(image_id[-40:])}</span>'
    )


def _counts(names: Sequence[str], counts: ConfidentCounts) -> str:
    doubted = counts.listed_unlikely + counts.unlisted_likely
    rows = [
        [escape(names[label]), *(f"{int(column[label]):,}" for column in counts)]
        for label in np.argsort(-doubted, kind="stable")
    ]
    head = ["label", "listed and likely", "listed but unlikely", "likely but not listed", "not listed, unlikely"]
    told = (
        f"{int(counts.listed_unlikely.sum()):,} cells are listed but confidently unlikely, "
        f"{int(counts.unlisted_likely.sum()):,} confidently likely but not listed."
    )
    return f'<p>{told}</p><div class="tall">{table(head, rows, range(1, 5))}</div>'


def audit_report(
    rows: Any,
    names: Sequence[str],
    scores: np.ndarray,
    targets: np.ndarray,
    folder: Path,
    title: str,
    most: int = 1000,
    each: int = 50,
) -> ConfidentCounts:
    """Write corrections.csv and audit.html.

    Args:
        rows: of the split that was audited.
        names: (labels,) of the columns.
        scores: (images, labels) probabilities of models that have not seen these labels.
        targets: (images, labels) of 1, 0 and -1.
        folder: for the two files.
        title: of the page.
        most: cells of the table.
        each: pictures of each kind on the page; the table has them too.

    Returns:
        The confident counts.
    """
    cells, counts = rank_cells(scores, targets, most, each), confident_counts(scores, targets)
    ids = [mark["image_id"] for mark in without_images(rows)]
    write_cells(cells, ids, names, folder / "corrections.csv")
    write_audit_page(rows, names, cells, counts, folder / "audit.html", title, each)
    return counts
