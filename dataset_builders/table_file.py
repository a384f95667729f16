"""Rows of a CSV, TSV, JSONL or Parquet file, each with the place it comes from."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dataset_builders.os_reason import one_line
from dataset_builders.text_file import BLANKS, read_json_lines, read_text

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")


def is_folder_of_tables(folder: Path) -> bool:
    """Whether a folder has train.csv (or .tsv, .jsonl) and no metadata.jsonl, which would say it all."""
    metadata = any(
        (folder / inner / "metadata.jsonl").is_file() for inner in ("", "train", "validation", "val", "test")
    )
    return not metadata and any((folder / f"train{ending}").is_file() for ending in (".csv", ".tsv", ".jsonl"))


class Row(NamedTuple):
    """One row of a table: its cells by column, and file and line for error sentences."""

    cells: dict[str, Any]
    source: str


def read_table(path: Path, delimiter: str | None = None) -> tuple[list[str], list[Row]]:
    """Columns and rows of a table, in the order of the file.

    Args:
        path: a file that ends in .csv, .tsv, .jsonl or .parquet.
        delimiter: between the cells of a line; None is a comma in .csv and a tab in .tsv.

    Returns:
        (column names, rows). Cells of CSV and TSV are texts; those of JSONL and Parquet keep their types.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another ending, no header, a column given twice, or a malformed row; names file and line.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"{path} is no table; expected a file that ends in {', '.join(ENDINGS)}.")
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; expected a table with one row an image.")
    if delimiter is not None and (ending not in (".csv", ".tsv") or len(delimiter) != 1):
        raise ValueError(f"delimiter is {delimiter!r} for {path.name}; expected one character, for CSV only.")
    if ending == ".parquet":
        columns, rows = _read_parquet(path)
    elif ending == ".jsonl":
        columns, rows = _read_jsonl(path)
    else:
        columns, rows = _read_delimited(path, delimiter or {".csv": ",", ".tsv": "\t"}[ending])
    if not rows:
        raise ValueError(f"{path} has no rows; expected one an image.")
    return columns, rows


def _read_delimited(path: Path, delimiter: str) -> tuple[list[str], list[Row]]:
    lines = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    try:
        columns = [name.strip(BLANKS) for name in next(lines, [])]
        if not any(columns):
            raise ValueError(f"{path}, line 1: no column names; expected a header such as file_name{delimiter}labels.")
        for place, name in enumerate(columns):
            if not name or name in columns[:place]:
                found = f"{name!r} occurs twice" if name else "is empty"
                raise ValueError(f"{path}, line 1: column {place + 1} {found}; every column needs a name of its own.")
        for cells in lines:
            if not cells:
                continue
            source = f"{path}, line {lines.line_num}"
            if len(cells) != len(columns):
                raise ValueError(
                    f"{source}: {len(cells)} cells, but the header has {len(columns)} columns; put cells that "
                    f"hold {delimiter!r} in double quotes."
                )
            rows.append(Row(dict(zip(columns, cells)), source))
    except csv.Error as error:
        raise ValueError(f"{path}, line {lines.line_num}: not a valid row ({error}); mend it.") from None
    return columns, rows


def _read_jsonl(path: Path) -> tuple[list[str], list[Row]]:
    rows = list(_json_rows(path))
    columns = list(dict.fromkeys(name for row in rows for name in row.cells))
    for row in rows:
        if missing := [name for name in columns if name not in row.cells]:
            raise ValueError(f"{row.source}: no {missing[0]!r}, which other rows have; write null for nothing.")
    return columns, rows


def _json_rows(path: Path) -> Iterator[Row]:
    for source, cells in read_json_lines(path):
        if not isinstance(cells, dict):
            raise ValueError(f"{source}: {str(cells)[:40]!r} is no object; expected one with a key a column.")
        yield Row(cells, source)


def _read_parquet(path: Path) -> tuple[list[str], list[Row]]:
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path, page_checksum_verification=True)
        if pictures := [field.name for field in file.schema_arrow if _holds_bytes(field.type)]:
            raise ValueError(
                f"{path}: the column {pictures[0]!r} holds bytes, and a table names its pictures by path; name the "
                "file train-00000-of-00001.parquet and give its folder, if the pictures are in it."
            )
        table = file.read()
        columns, cells = list(table.column_names), table.to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as Parquet: {one_line(error)}; write it again.") from None
    return columns, [Row(row, f"{path}, row {number}") for number, row in enumerate(cells, 1)]


def _holds_bytes(kind: Any) -> bool:
    from pyarrow import types

    fields = [kind.field(place).type for place in range(kind.num_fields)] if types.is_struct(kind) else [kind]
    return any(types.is_binary(field) or types.is_large_binary(field) for field in fields)
