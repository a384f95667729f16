"""Corrections of single labels, as `mlic audit` lists them and somebody decided."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from dataset_builders.record import Annotations, Record
from dataset_builders.table_file import Row, read_table

PRESENT, ABSENT, UNKNOWN = "1", "0", "-1"
MEANINGS = {PRESENT: "present", ABSENT: "absent", UNKNOWN: "unknown"}
COLUMNS = ("image_id", "label", "correct")


def read_corrections(path: str | Path) -> dict[str, dict[str, tuple[str, str]]]:
    """What a table of corrections decides: image id -> label -> (1, 0 or -1 as text, where it stands).

    Args:
        path: a table with the columns image_id, label and correct; a row whose `correct` is blank decides nothing.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a column is missing, a cell is wrong, or a label of an image is decided twice; names file and line.
    """
    columns, rows = read_table(Path(path))
    if missing := [name for name in COLUMNS if name not in columns]:
        raise ValueError(f"{path}: no column {missing[0]!r}; expected {', '.join(COLUMNS)} among its columns.")
    decided: dict[str, dict[str, tuple[str, str]]] = {}
    for row in rows:
        state = _state(row)
        if state is None:
            continue
        image_id, label = str(row.cells["image_id"]), str(row.cells["label"])
        of_image = decided.setdefault(image_id, {})
        if label in of_image:
            raise ValueError(f"{row.source}: {label!r} of {image_id} was already decided in {of_image[label][1]}.")
        of_image[label] = state, row.source
    return decided


def _state(row: Row) -> str | None:
    cell = row.cells["correct"]
    text = "" if cell is None else str(cell).strip()
    if text and text not in MEANINGS:
        raise ValueError(f"{row.source}, column 'correct': {cell!r}; expected 1, 0, -1 (unknown) or nothing.")
    return text or None


def correct(annotations: Annotations, path: str | Path) -> Annotations:
    """Annotations with the corrections of a table.

    Boxes of a label that is no longer present are left out.

    Raises:
        FileNotFoundError: no such file.
        ValueError: as `read_corrections`, or an image or label that the annotations do not have.
    """
    decided = read_corrections(path)
    names, left = set(annotations.names), set(decided)
    changed: Counter[str] = Counter()
    splits = {}
    for split, records in annotations.splits.items():
        splits[split] = [
            _corrected(r, decided.get(r.image_id, {}), names, annotations.names, changed) for r in records
        ]
        left -= {record.image_id for record in records}
    if left:
        first = min(left)
        source = next(iter(decided[first].values()))[1]
        raise ValueError(f"{source}: there is no image {first!r} ({len(left)} such); are these its data?")
    told = ", ".join(f"{changed[state]} to {MEANINGS[state]}" for state in MEANINGS)
    note = f"{sum(changed.values())} labels were corrected by {path}: {told}."
    return Annotations(annotations.names, splits, [*annotations.notes, note])


def _corrected(
    record: Record, decided: dict[str, tuple[str, str]], known: set[str], order: list[str], changed: Counter[str]
) -> Record:
    if not decided:
        return record
    labels, ignored = set(record.labels), set(record.ignored)
    for label, (state, source) in decided.items():
        if label not in known:
            raise ValueError(f"{source}: there is no label {label!r} among the {len(known)} of the data.")
        before = PRESENT if label in labels else UNKNOWN if label in ignored else ABSENT
        changed[state] += before != state
        labels.discard(label)
        ignored.discard(label)
        if state != ABSENT:
            (labels if state == PRESENT else ignored).add(label)
    return record._replace(
        labels=tuple(name for name in order if name in labels),
        ignored=tuple(name for name in order if name in ignored),
        boxes=tuple(box for box in record.boxes if box[0] in labels),
    )
