"""Folders of shards: WebDataset tar files, and parquet as mlic prepare_dataset writes it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets

from dataset_builders.prepared_writing import write_prepared
from dataset_builders.record import features


def png(picture: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def tar_folder(folder: Path, splits: Mapping[str, list[dict[str, Any]]], names: Sequence[str], each: int) -> Path:
    """Shards of so many pictures each; rows have Pillow images and label ids."""
    for split, rows in splits.items():
        for number, start in enumerate(range(0, len(rows), each)):
            members = []
            for row in rows[start : start + each]:
                told = {column: [names[label] for label in row[column]] for column in ("labels", "ignored")}
                members += [
                    (f"{row['image_id']}.png", png(row["image"])),
                    (f"{row['image_id']}.json", json.dumps(told).encode()),
                ]
            write_tar(folder / f"{split}-{number:05d}.tar", members)
    return folder


def parquet_folder(folder: Path, splits: Mapping[str, list[dict[str, Any]]], names: Sequence[str], each: int) -> Path:
    """The same as parquet, with the manifest."""
    made = {split: datasets.Dataset.from_list(rows, features=features(names)) for split, rows in splits.items()}
    folder.mkdir(parents=True, exist_ok=True)
    write_prepared(folder, made, {"builder": "a test", "options": {}}, each)
    return folder
