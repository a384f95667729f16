"""Your own data: a folder of images with `metadata.jsonl`, the `imagefolder` convention."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dataset_builders.builder import RecordBuilder
from dataset_builders.image_path import IMAGE_NAMES, image_path
from dataset_builders.record import SPLIT_NAMES, SPLITS, Annotations, Record
from dataset_builders.text_file import read_json_lines

METADATA = "metadata.jsonl"
_KEYS = {"file_name", "labels", "ignored", "image_id", "split"}


def metadata_files(folder: Path) -> dict[Path, str | None]:
    """Metadata files of a folder, and the split each stands for (None: the rows say it).

    Raises:
        FileNotFoundError: no folder, or no metadata in it.
        ValueError: metadata both in the folder and in its split folders.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; expected one with {METADATA} in it.")
    inner: dict[Path, str | None] = {
        folder / name / METADATA: split for name, split in SPLIT_NAMES.items() if (folder / name / METADATA).is_file()
    }
    if len(set(inner.values())) != len(inner):
        raise ValueError(f"{folder} has two folders of one split among {sorted(p.parent.name for p in inner)}.")
    if (folder / METADATA).is_file():
        if inner:
            raise ValueError(
                f"{folder} has a {METADATA} of its own and one in {sorted(p.parent.name for p in inner)}; "
                "keep one kind."
            )
        return {folder / METADATA: None}
    if not inner:
        state = "is empty" if not any(folder.iterdir()) else f"has no {METADATA}"
        raise FileNotFoundError(
            f"{folder} {state}; expected {METADATA} with one line "
            '{"file_name": "a.jpg", "labels": ["cat"]} an image, there or in train/, validation/, test/.'
        )
    return inner


def read_annotations(folder: str | Path) -> Annotations:
    """Records of a folder.

    Args:
        folder: with metadata.jsonl (the split of a row is its `split`, else the first part of its file_name
            when that is train, validation or test, else train), or with train/validation/test folders that
            have one each.

    Returns:
        Annotations whose vocabulary is all labels, sorted.

    Raises:
        FileNotFoundError: no metadata.
        ValueError: a malformed row; names file and line.
    """
    folder = Path(folder)
    splits: dict[str, list[Record]] = {}
    seen: dict[str, str] = {}
    for path, split in metadata_files(folder).items():
        rows = list(read_json_lines(path))
        if not rows:
            raise ValueError(f"{path} is empty; expected one line with file_name and labels an image.")
        for source, row in rows:
            row_split, record = _record(path.parent, row, source, split)
            for key in {record.image_id, record.path}:
                if key in seen:
                    raise ValueError(f"{source}: {key} was already given in {seen[key]}; keep one of the two.")
                seen[key] = source
            splits.setdefault(row_split, []).append(record)
    ordered = {split: splits[split] for split in SPLITS if split in splits}
    names = sorted({name for rows in ordered.values() for r in rows for name in (*r.labels, *r.ignored)})
    if not names:
        raise ValueError(f"Not one row of {folder} has a label; expected a list of label names in 'labels'.")
    return Annotations(names, ordered, _unlisted(folder, {r.path for rows in ordered.values() for r in rows}))


def _record(folder: Path, row: Any, source: str, split: str | None) -> tuple[str, Record]:
    if not isinstance(row, dict) or "file_name" not in row:
        raise ValueError(f"{source}: no 'file_name'; expected an object with file_name and labels.")
    if "labels" not in row:
        others = sorted(set(row) - _KEYS)
        hint = f" (found {', '.join(map(repr, others))})" if others else ""
        raise ValueError(f"{source}: no 'labels' column{hint}; expected a list of label names, [] for none.")
    if not isinstance(row["file_name"], str):
        raise ValueError(f"{source}: 'file_name' is {row['file_name']!r}; expected a string.")
    name = row["file_name"]
    labels, ignored = (
        _names(row["labels"], "labels", source),
        _names(row.get("ignored", []), "ignored", source),
    )
    if both := set(labels) & set(ignored):
        raise ValueError(f"{source}: {sorted(both)[0]!r} is in 'labels' and in 'ignored'; keep one of the two.")
    path = image_path(folder, name, source)
    identity = row.get("image_id", name if split is None else f"{split}/{name}")
    if type(identity) not in (str, int) or identity == "":
        raise ValueError(f"{source}: 'image_id' is {identity!r}; expected a text or a whole number.")
    record = Record(str(identity), path, labels, ignored, source=source)
    return _split_of(row, name, split, source), record


def _split_of(row: dict[str, Any], name: str, split: str | None, source: str) -> str:
    given = row.get("split")
    if split is not None:
        if given is not None and (not isinstance(given, str) or SPLIT_NAMES.get(given) != split):
            raise ValueError(f"{source}: split {given!r} in the folder of split {split!r}; take the key out.")
        return split
    if given is None:
        return SPLIT_NAMES.get(name.replace("\\", "/").split("/")[0], "train") if "/" in name else "train"
    if not isinstance(given, str) or given not in SPLIT_NAMES:
        raise ValueError(f"{source}: unknown split {given!r}; expected one of {', '.join(SPLITS)}.")
    return SPLIT_NAMES[given]


def _names(value: Any, key: str, source: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name.strip() for name in value):
        raise ValueError(f"{source}: {key!r} is {value!r}; expected a list of label names.")
    return tuple(sorted(set(value)))


def _unlisted(folder: Path, listed: set[str]) -> list[str]:
    """A note on images that lie in the folder but in no metadata row."""
    root = os.path.abspath(folder)
    extra = [
        path
        for parent, _, files in os.walk(root)
        for name in files
        if name.lower().endswith(IMAGE_NAMES) and (path := os.path.join(parent, name)) not in listed
    ]
    if not extra:
        return []
    # ascii(): a file name on disk need not be UTF-8
    return [f"{len(extra)} images of {folder} are named in no {METADATA} and left out, first {min(extra)!a}."]


class ImageFolder(RecordBuilder):
    """A folder with metadata.jsonl (file_name, labels, optional ignored, image_id, split)."""

    @classmethod
    def sources(cls, config: Any) -> Iterable[Path]:
        """The metadata files."""
        return metadata_files(Path(config.data_dir))

    def read(self) -> Annotations:
        """Records of the folder."""
        return read_annotations(self.config.data_dir)
