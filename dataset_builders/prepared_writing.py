"""Write a prepared data set so that it is whole or not there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dataset_builders.os_reason import os_reason
from dataset_builders.prepared import (
    COLUMNS,
    FORMAT_VERSION,
    FORMER,
    MANIFEST,
    file_hash,
    names_hash,
    parquet_shards,
    rows_hash,
)

SHARD_NAME = "{split}-{index:05d}-of-{count:05d}.parquet"
PARTIAL = ".data.partial"
LOCK = ".prepare.lock"


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Keep other writers out of a folder, which is made if absent.

    Raises:
        ValueError: another process writes there now.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout:
        raise ValueError(
            f"Another process writes to {folder} now; wait until it has ended, or give another output folder."
        ) from None


def check_target(folder: Path, source: Path | None, overwrite: bool) -> None:
    """Whether shards may be written to `folder/data`.

    Args:
        folder: the output folder.
        source: the folder that is prepared, None for a drawn data set.
        overwrite: replace shards that are there.

    Raises:
        ValueError: the source lies there, or shards (without `overwrite`) or other files do.
    """
    data = (folder / "data").resolve()
    if source is not None:
        real = source.resolve()
        if real == folder.resolve() or real == data or data in real.parents:
            raise ValueError(
                f"The output folder {folder} is where {source} lies, and the shards would hide or replace the "
                "original; give another output folder."
            )
    _put_back(folder)
    if parquet_shards(folder) and not overwrite:
        raise ValueError(f"{folder} holds parquet shards; give another output folder, or say to overwrite them.")
    if data.is_dir():
        others = sorted(p.name for p in data.iterdir() if p.suffix != ".parquet" and p.name != MANIFEST)
        if others:
            raise ValueError(f"{data / others[0]} is no shard, and the whole folder would be replaced; move it away.")


def write_prepared(
    folder: Path, splits: Mapping[str, Any], described: Mapping[str, Any], images_per_shard: int = 2500
) -> Path:
    """Write splits with their image bytes to `folder/data`, in the place of what is there.

    Everything is written to a folder beside it first. It takes the name `data` once its manifest is complete, so
    an error, a full disk or a killed process leave `data` as it was.

    Args:
        folder: the output folder; hold `one_writer` of it.
        splits: split name to a `datasets.Dataset` with the common columns.
        described: what was prepared, for the manifest: builder and options as JSON values.
        images_per_shard: rows of a file.

    Returns:
        `folder/data`.

    Raises:
        ValueError: fewer than one image a shard.
        OSError: a file cannot be written; `data` is as it was.
    """
    if images_per_shard < 1:
        raise ValueError(f"images_per_shard is {images_per_shard}; expected 1 or more.")
    data, partial = folder / "data", folder / PARTIAL
    _put_back(folder)
    try:
        partial.mkdir()
        names = next(iter(splits.values())).features["labels"].feature.names
        manifest = {
            "format_version": FORMAT_VERSION,
            **described,
            "labels": names,
            "labels_hash": names_hash(names),
            "splits": {split: _write_split(rows, partial, split, images_per_shard) for split, rows in splits.items()},
        }
        _write_whole(partial / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise OSError(
            f"{partial} cannot be written: {os_reason(error)}. Nothing was changed, {data} is as it was; make room or "
            "give another output folder."
        ) from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if data.exists():
        data.rename(folder / FORMER)
    partial.rename(data)
    shutil.rmtree(folder / FORMER, ignore_errors=True)
    return data


def _put_back(folder: Path) -> None:
    """Clear up after a writer that was killed."""
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)
    if (folder / FORMER).is_dir():
        if (folder / "data").exists():
            shutil.rmtree(folder / FORMER)
        else:
            (folder / FORMER).rename(folder / "data")


def _write_split(rows: Any, folder: Path, split: str, images_per_shard: int) -> dict[str, Any]:
    count = -(-len(rows) // images_per_shard)
    shards = []
    for index in range(count):
        path = folder / SHARD_NAME.format(split=split, index=index, count=count)
        part = rows.select(range(index * images_per_shard, min((index + 1) * images_per_shard, len(rows))))
        _write_shard(part, path)
        shards.append(
            {
                "file": path.name,
                "rows": len(part),
                "bytes": path.stat().st_size,
                "hash": rows_hash(part.select_columns(list(COLUMNS))),
                "sha256": file_hash(path),
            }
        )
    return {"rows": len(rows), "hash": rows_hash(rows.select_columns(list(COLUMNS))), "shards": shards}


def _write_shard(rows: Any, path: Path) -> None:
    from datasets.table import embed_table_storage

    embedded = rows.with_format("arrow").map(
        embed_table_storage, batched=True, batch_size=100, keep_in_memory=True, new_fingerprint=path.stem
    )
    embedded.with_format(None).to_parquet(path)
    _to_disk(path)


def _write_whole(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    _to_disk(path)


def _to_disk(path: Path) -> None:
    """Wait until a file is on the disk, so that a power cut cannot leave a half one under a final name."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
