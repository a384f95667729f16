"""Which columns of a table hold paths and labels, and what their cells say."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builders.image_path import IMAGE_NAMES, image_path
from dataset_builders.record import SPLIT_NAMES, SPLITS, Record
from dataset_builders.table_file import Row
from dataset_builders.text_file import BLANKS

TAG_COLUMNS = ("labels", "tags")  # by these names a column holds tags, whatever stands beside it
SEPARATORS = (",", ";", "|")
PRESENT, ABSENT, UNKNOWN = 1, 0, -1
WORDS = {"1": PRESENT, "1.0": PRESENT, "true": PRESENT, "0": ABSENT, "0.0": ABSENT, "false": ABSENT}
WORDS |= {"-1": UNKNOWN, "-1.0": UNKNOWN, "": UNKNOWN}


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are read, and how.

    Attributes:
        image: the column of the paths.
        tags: the column of the tags, or None.
        labels: the columns of single labels, or None.
        separator: between tags that are texts.
        has: all columns.
    """

    image: str
    tags: str | None
    labels: tuple[str, ...] | None
    separator: str | None
    has: tuple[str, ...]

    def note(self, path: Path) -> str:
        """What is read, in a sentence."""
        if self.labels is not None:
            return f"{path.name}: paths from {self.image!r}, one label from each of {len(self.labels)} columns."
        cut = f", cut at {self.separator!r}" if self.separator else ""
        return f"{path.name}: paths from {self.image!r}, labels from {self.tags!r}{cut}."

    def record(self, root: Path, row: Row, split: str | None) -> tuple[str, Record]:
        """The split and the record of a row.

        Raises:
            ValueError: a wrong cell; names line and column.
        """
        name = row.cells[self.image]
        if not isinstance(name, str) or not name.strip(BLANKS):
            raise ValueError(f"{row.source}: {self.image!r} is {name!r}; expected the path of a picture.")
        if self.labels is not None:
            states = {label: _state(row, label) for label in self.labels}
            labels = tuple(label for label, state in states.items() if state == PRESENT)
            ignored = tuple(label for label, state in states.items() if state == UNKNOWN)
        else:
            labels = _tags(row, str(self.tags), self.separator)
            ignored = _tags(row, "ignored", self.separator) if "ignored" in self.has else ()
        if both := set(labels) & set(ignored):
            raise ValueError(f"{row.source}: {min(both)!r} is a label and in 'ignored'; keep one of the two.")
        identity = row.cells.get("image_id")
        if identity is not None and type(identity) not in (str, int):
            raise ValueError(f"{row.source}: 'image_id' is {identity!r}; expected a text or a whole number.")
        path = image_path(root, name.strip(BLANKS), row.source)
        image_id = name.strip(BLANKS) if identity in (None, "") else str(identity)
        return _split_of(row, split), Record(image_id, path, labels, ignored, source=row.source)


def choose_columns(columns: Sequence[str], rows: Sequence[Row], config: Any, path: Path) -> Columns:
    """The columns that the options name, else those that can be meant.

    Args:
        columns: all columns of the table.
        rows: all its rows.
        config: a `TableConfig`.
        path: of the table, for the message.

    Raises:
        ValueError: a column that is not there, or columns that are not clear; lists them.
    """
    listed = ", ".join(map(repr, columns))
    for option in ("image_column", "tags_column", "label_columns"):
        given = getattr(config, option)
        for name in (given,) if isinstance(given, str) else given or ():
            if name not in columns:
                raise ValueError(f"{path}: {option} names {name!r}, but the columns are {listed}.")
    image = config.image_column or _image_column(columns, rows, path)
    tags, labels = config.tags_column, config.label_columns
    if tags is None and labels is None:
        left = [name for name in columns if name not in (image, "image_id", "split", "ignored")]
        tags, labels = _label_columns(left, rows, path)
    separator = config.separator
    if tags is not None and separator is None:
        separator = _guess_separator(rows, [tags, *({"ignored"} & set(columns))], path)
    return Columns(image, tags, None if labels is None else tuple(labels), separator, tuple(columns))


def _image_column(columns: Sequence[str], rows: Sequence[Row], path: Path) -> str:
    fitting = [name for name in columns if name != "image_id" and _is_image_name(rows[0].cells[name])]
    if len(fitting) == 1:
        return fitting[0]
    found = f"{', '.join(map(repr, fitting))} all hold them" if fitting else "no column holds them"
    raise ValueError(
        f"{path}: where are the paths of the pictures ({found})? Name the column with image_column, or the character "
        f"between cells with delimiter. Columns: {', '.join(map(repr, columns))}."
    )


def _label_columns(left: Sequence[str], rows: Sequence[Row], path: Path) -> tuple[str | None, Sequence[str] | None]:
    """Of the columns that are left: the one of the tags, or those of one label each."""
    if named := [name for name in TAG_COLUMNS if name in left]:
        return named[0], None
    odd = _first_odd_cell(rows, left)
    if left and odd is None:
        return None, left
    if len(left) == 1 and not any(_is_state(row.cells[left[0]]) for row in rows):
        return left[0], None
    found = f" ({odd[0].source}: {odd[1]!r} holds {odd[0].cells[odd[1]]!r})" if odd else ""
    raise ValueError(
        f"{path}: where are the labels? Not all columns that are left hold 1, 0, -1 or nothing{found}. Name them with "
        f"label_columns, or tags_column. Columns: {', '.join(map(repr, left)) or 'none'}."
    )


def _is_state(cell: Any) -> bool:
    """Whether a cell says 1, 0 or -1; a blank says nothing."""
    return str(cell).strip(BLANKS) != "" and str(cell).strip(BLANKS).lower() in WORDS


def _split_of(row: Row, split: str | None) -> str:
    given = row.cells.get("split")
    if given in (None, ""):
        return split or "train"
    if not isinstance(given, str) or given not in SPLIT_NAMES:
        raise ValueError(f"{row.source}: unknown split {given!r}; expected one of {', '.join(SPLITS)}.")
    if split is not None and SPLIT_NAMES[given] != split:
        raise ValueError(f"{row.source}: split {given!r} in the table of split {split!r}; take the column out.")
    return SPLIT_NAMES[given]


def _is_image_name(cell: Any) -> bool:
    return isinstance(cell, str) and cell.strip(BLANKS).lower().endswith(IMAGE_NAMES)


def _state(row: Row, label: str) -> int:
    """PRESENT, ABSENT or UNKNOWN.

    Raises:
        ValueError: the cell is none of 1, 0, -1 and blank.
    """
    cell = row.cells[label]
    state = UNKNOWN if cell is None or (isinstance(cell, float) and math.isnan(cell)) else None
    if state is None and not isinstance(cell, (list, Mapping)):
        state = WORDS.get(str(cell).strip(BLANKS).lower())
    if state is None:
        raise ValueError(f"{row.source}, column {label!r}: {cell!r}; expected 1, 0, -1 or nothing (unknown).")
    return state


def _first_odd_cell(rows: Sequence[Row], columns: Sequence[str]) -> tuple[Row, str] | None:
    for row in rows:
        for name in columns:
            try:
                _state(row, name)
            except ValueError:
                return row, name
    return None


def _tags(row: Row, column: str, separator: str | None) -> tuple[str, ...]:
    """The tags of a cell, each once, sorted.

    Raises:
        ValueError: no text and no list of texts, or an empty tag between two separators.
    """
    cell = row.cells[column]
    where = f"{row.source}, column {column!r}"
    if cell is None or (isinstance(cell, str) and not cell.strip(BLANKS)):
        return ()
    tags = cell
    if isinstance(cell, str):
        tags = _written_list(cell, where) if cell.lstrip(BLANKS).startswith("[") else cell.split(separator or "\0")
        tags = [tag.strip(BLANKS) if isinstance(tag, str) else tag for tag in tags]
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag.strip() for tag in tags):
        raise ValueError(f"{where}: {cell!r}; expected names of labels, none of them empty.")
    return tuple(sorted(set(tags)))


def _written_list(cell: str, where: str) -> Any:
    """The list in a cell like `["cat", "dog"]`, as JSON or as Python writes it (pandas does)."""
    for parse in (json.loads, ast.literal_eval):
        try:
            written = parse(cell)
            json.dumps(written, ensure_ascii=False).encode()  # half a character (\ud8.. alone) is a ValueError
            return written
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue
    raise ValueError(f'{where}: {cell[:60]!r} begins like a list, but is none; expected ["cat", "dog"].')


def _guess_separator(rows: Sequence[Row], columns: Sequence[str], path: Path) -> str | None:
    texts = [cell for row in rows for name in columns if isinstance(cell := row.cells[name], str)]
    texts = [text.strip(BLANKS) for text in texts if not text.lstrip(BLANKS).startswith("[")]
    found = [separator for separator in SEPARATORS if any(separator in text for text in texts)]
    blank = next((text for text in texts if " " in text), None)
    if len(found) > 1 or (not found and blank is not None):
        what = f"{' and '.join(map(repr, found))} occur" if found else f"{blank!r} is one tag or several"
        raise ValueError(f"{path}: what stands between the tags of {columns[0]!r} ({what})? Say it with separator.")
    return found[0] if found else None
