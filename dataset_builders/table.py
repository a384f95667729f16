"""A table of pictures and labels: CSV, TSV, JSONL or Parquet, with tags in one column or one column a label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset_builders.builder import RecordBuilder, RecordConfig
from dataset_builders.record import SPLIT_NAMES, SPLITS, Annotations, Record
from dataset_builders.table_columns import choose_columns
from dataset_builders.table_file import ENDINGS, read_table


@dataclass
class TableConfig(RecordConfig):
    """Options of table.

    Attributes:
        image_column: the column with the paths of the pictures; None takes the only one that holds such.
        tags_column: the column that holds the labels of a picture, as a list or with a separator between them.
        separator: of the tags; None takes the one of `,` `;` `|` that occurs, where it is only one.
        label_columns: one column a label instead: 1 present, 0 absent, -1 or blank unknown. None of this and
            `tags_column` takes the column `labels` or `tags`, else all that are left.
        root: the folder that the paths are relative to; None is the table's own.
        delimiter: between the cells of a line; None is a comma in .csv, a tab in .tsv.
    """

    image_column: str | None = None
    tags_column: str | None = None
    separator: str | None = None
    label_columns: tuple[str, ...] | None = field(default=None)
    root: str | None = None
    delimiter: str | None = None

    def __post_init__(self) -> None:
        """Refuse labels in both forms, and an empty separator."""
        super().__post_init__()
        if self.tags_column is not None and self.label_columns is not None:
            raise ValueError("tags_column and label_columns are two forms of labels; give one of them.")
        if self.label_columns is not None and (isinstance(self.label_columns, str) or not self.label_columns):
            raise ValueError(f"label_columns is {self.label_columns!r}; expected a list of column names.")
        if self.separator == "" or (self.separator and self.label_columns):
            raise ValueError(f"separator is {self.separator!r}; expected the text between two tags of tags_column.")


def table_files(place: Path) -> dict[Path, str | None]:
    """The tables of a place, and the split each stands for (None: its column `split`, else train).

    Args:
        place: a table, or a folder with one a split: train.csv, validation.csv (val.csv), test.csv.

    Raises:
        FileNotFoundError: there is none.
        ValueError: a split has two.
    """
    if place.is_file():
        return {place: None}
    found: dict[str, Path] = {}
    for name, split in SPLIT_NAMES.items():
        for path in (place / f"{name}{ending}" for ending in ENDINGS):
            if path.is_file() and split in found:
                raise ValueError(f"{found[split]} and {path} are both tables of split {split!r}; keep one.")
            if path.is_file():
                found[split] = path
    if not found:
        raise FileNotFoundError(f"{place} is no table and has none; expected train.csv (.tsv, .jsonl, .parquet).")
    return {found[split]: split for split in SPLITS if split in found}


def read_annotations(place: str | Path, **options: Any) -> Annotations:
    """Records of a table.

    Args:
        place: see `table_files`.
        options: those of `TableConfig`.

    Returns:
        Annotations whose vocabulary is `label_columns` in their order, or all tags, sorted. The columns `image_id`
        (else the path), `split` and `ignored` (tags that are unknown for a picture) are read where they are there.

    Raises:
        FileNotFoundError: no table.
        ValueError: columns that are not clear, or a wrong cell; names file, line and column.
    """
    config = TableConfig(**options)
    splits: dict[str, list[Record]] = {}
    seen: dict[str, str] = {}
    vocabulary: Sequence[str] | None = None
    notes: list[str] = []
    for path, split in table_files(Path(place)).items():
        columns, rows = read_table(path, config.delimiter)
        form = choose_columns(columns, rows, config, path)
        notes.append(form.note(path))
        if form.labels is not None and config.unlisted == "unknown":
            raise ValueError(f"{path}: unlisted is 'unknown', but its columns list every label; leave cells blank.")
        if vocabulary is not None and form.labels is not None and tuple(vocabulary) != tuple(form.labels):
            raise ValueError(f"{path}: its label columns differ from those of the other split; give them one order.")
        vocabulary = form.labels
        root = Path(config.root).expanduser() if config.root is not None else path.parent
        for row in rows:
            row_split, record = form.record(root, row, split)
            for key in dict.fromkeys((record.image_id, record.path)):
                if key in seen:
                    raise ValueError(f"{row.source}: {key} was already given in {seen[key]}; keep one of the two.")
                seen[key] = row.source
            splits.setdefault(row_split, []).append(record)
    ordered = {split: splits[split] for split in SPLITS if split in splits}
    used = {name for rows in ordered.values() for r in rows for name in (*r.labels, *r.ignored)}
    names = list(vocabulary) if vocabulary is not None else sorted(used)
    if not names:
        raise ValueError(f"Not one row of {place} has a label; check the options tags_column and separator.")
    return Annotations(names, ordered, notes)


class Table(RecordBuilder):
    """A table of paths and labels."""

    BUILDER_CONFIG_CLASS = TableConfig

    @classmethod
    def sources(cls, config: Any) -> Iterable[Path]:
        """The tables."""
        return table_files(Path(config.data_dir))

    def read(self) -> Annotations:
        """Records of the tables."""
        names = ("image_column", "tags_column", "separator", "label_columns", "root", "delimiter", "unlisted")
        return read_annotations(self.config.data_dir, **{name: getattr(self.config, name) for name in names})
