"""Which pictures are meant: files, folders, globs, lists, tables, tars and data sets on the Hub, each by a name."""

from __future__ import annotations

import glob
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from dataset_builders.image_path import image_path
from dataset_builders.loading import HUB
from dataset_builders.ready_made import hub_tables
from dataset_builders.table_file import read_table

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
TABLES = {".csv", ".tsv", ".jsonl", ".parquet"}
COLUMNS = ("image", "file_name", "file", "path", "image_path")


class TarMember(NamedTuple):
    """The bytes of a picture inside a tar."""

    tar: str
    offset: int
    size: int


class ParquetCell(NamedTuple):
    """A picture inside a Parquet file, here or at an address: row group, and row in it."""

    table: str
    column: str
    group: int
    row: int


class Picture(NamedTuple):
    """A picture: the name that its row is told under, and where it lies (None: a file of that name)."""

    name: str
    place: TarMember | ParquetCell | None = None

    def source(self) -> Any:
        """What `read_image` takes: a path or bytes.

        Raises:
            OSError: the tar or table can no longer be read.
            ConnectionError: the table is elsewhere and cannot be reached.
            ValueError: a cell is empty.
        """
        if self.place is None:
            return self.name
        if isinstance(self.place, TarMember):
            with open(self.place.tar, "rb") as file:
                file.seek(self.place.offset)
                return file.read(self.place.size)
        cell = _row_group(self.place.table, self.place.column, self.place.group)[self.place.row].as_py()
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if content is None:
            raise ValueError(f"The image {self.name!r} is an empty cell; its row needs bytes.")
        return content


def find_pictures(given: Sequence[str | Path], column: str | None = None, split: str | None = None) -> list[Picture]:
    """The pictures that are meant, each name once, in the order in which they are given.

    Args:
        given: a picture, a folder (searched through), a glob, a .txt list (a path a line), a table (.csv, .tsv,
            .jsonl: paths relative to it; .parquet: paths or bytes), a WebDataset .tar, or hub:owner/name: a data set
            in Parquet on the Hub, of which row groups are read when their pictures are.
        column: of a table, where the pictures are; None takes "image", "file_name", "file", "path" or "image_path".
        split: of a data set on the Hub; None for all.

    Raises:
        FileNotFoundError: for what holds no picture.
        ValueError: a table without such a column, or with a path that leads out of its folder; a compressed or broken
            tar.
    """
    found: dict[str, Picture] = {}
    for each in map(str, given):
        before = len(found)
        repeated = False
        for picture in _pictures(each, column, split):
            repeated |= picture.name in found
            found.setdefault(picture.name, picture)
        if len(found) == before and not repeated:
            raise FileNotFoundError(f"{each} is no image, and no folder, pattern, list, table or tar that holds one.")
    return list(found.values())


def _pictures(given: str, column: str | None, split: str | None) -> Iterator[Picture]:
    path = Path(given)
    ending = path.suffix.lower()
    if given.startswith(HUB):
        for address in hub_tables(given.removeprefix(HUB), split):
            yield from _of_parquet(address, column)
    elif path.is_dir():
        yield from (Picture(str(p)) for p in sorted(path.rglob("*")) if p.suffix.lower() in ENDINGS)
    elif not path.is_file():
        for match in sorted(map(Path, glob.glob(given, recursive=True))):
            if match.suffix.lower() in ENDINGS:
                yield Picture(str(match))
            elif match.suffix.lower() in TABLES | {".tar"} and match.is_file():
                yield from _pictures(str(match), column, split)
    elif ending == ".txt":
        lines = path.read_text(encoding="utf-8").splitlines()
        yield from (Picture(line.strip()) for line in lines if line.strip())
    elif ending == ".tar":
        yield from _of_tar(given)
    elif ending == ".parquet":
        yield from _of_parquet(given, column)
    elif ending in TABLES:
        columns, rows = read_table(path)
        chosen = _column(columns, column, path)
        yield from (Picture(image_path(path.parent, str(row.cells[chosen]), row.source)) for row in rows)
    else:
        yield Picture(given)


def _column(columns: Sequence[str], column: str | None, path: str | Path) -> str:
    for name in (column,) if column is not None else COLUMNS:
        if name in columns:
            return str(name)
    asked = f"no column {column!r}" if column is not None else f"none of the columns {', '.join(COLUMNS)}"
    raise ValueError(f"{path} has {asked}; say where the pictures are. Its columns: {', '.join(columns)}.")


def _of_tar(path: str) -> Iterator[Picture]:
    try:
        with tarfile.open(path, "r:") as tar:  # by offset, so nothing is unpacked and nothing may be compressed
            for member in tar:
                if member.isreg() and Path(member.name).suffix.lower() in ENDINGS:
                    yield Picture(f"{path}/{member.name}", TarMember(path, member.offset_data, member.size))
    except tarfile.TarError as error:
        raise ValueError(f"{path} cannot be read as a tar that is not compressed ({error}).") from None


def _of_parquet(path: str, column: str | None) -> Iterator[Picture]:
    import pyarrow

    try:
        with _opened(path) as table:
            chosen = _column(table.schema_arrow.names, column, path)
            kind = table.schema_arrow.field(chosen).type
            sizes = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
            paths = pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)
            names = table.read(columns=[chosen])[chosen].to_pylist() if paths else []
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path} cannot be read as Parquet: {error}") from None
    if paths and "://" in path:
        raise ValueError(f"{path} holds paths in {chosen!r}, and no pictures; a column of pictures was expected.")
    folder = Path(path).parent
    yield from (Picture(image_path(folder, str(n), f"{path}, row {i}")) for i, n in enumerate(names))
    if not paths:
        rows = ((group, row) for group, size in enumerate(sizes) for row in range(size))
        yield from (Picture(f"{path}#{i}", ParquetCell(path, chosen, *place)) for i, place in enumerate(rows))


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    """A Parquet file, here or at an address, of which no more is read than is asked for."""
    import pyarrow.parquet

    if "://" not in path:
        with pyarrow.parquet.ParquetFile(path) as table:
            yield table
        return
    from fsspec.core import url_to_fs

    system, place = url_to_fs(path)
    try:
        with system.open(place, "rb", cache_type="none") as file, pyarrow.parquet.ParquetFile(file) as table:
            yield table
    except (OSError, RuntimeError) as error:
        raise ConnectionError(f"{path} cannot be reached: {error}") from error


@lru_cache(maxsize=2)
def _row_group(path: str, column: str, group: int) -> Any:
    with _opened(path) as table:
        return table.read_row_group(group, columns=[column])[column]
