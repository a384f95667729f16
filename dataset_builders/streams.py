"""Shards of a data set as streams, with what can be known of them without reading a picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dataset_builders.loading import HUB, load_splits, resolve
from dataset_builders.prepared import parquet_shards, read_manifest
from dataset_builders.tar_shards import check_tar_options, stream_tars, survey, tar_shards


class Stream(NamedTuple):
    """One split.

    Attributes:
        rows: a `datasets.IterableDataset`.
        counts: the rows of each of its shards, None where they are not known.
        length: the rows of all, None where they are not known.
        hash: 16 hex digits of ids and labels, None where they are not known.
    """

    rows: Any
    counts: list[int] | None = None
    length: int | None = None
    hash: str | None = None


def load_streams(
    name_or_folder: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None = None, **config: Any
) -> dict[str, Stream]:
    """Every split as a stream that holds no more than a few rows in memory and nothing on the disk.

    Args:
        name_or_folder: a folder of parquet or tar shards, or hub:owner/name.
        data_dir: None; see `load_splits`.
        config: `labels`, the label names in order, for tar shards.

    Raises:
        ValueError: another data set, or as `load_splits`.
    """
    kind, place = resolve(name_or_folder, data_dir)
    if kind == "tar":
        check_tar_options(config)
        shards = tar_shards(Path(place or ""))
        found = survey(shards, config.get("labels"))
        return {
            split: Stream(stream_tars(paths, found.names), found.counts[split], None, found.hashes[split])
            for split, paths in shards.items()
        }
    if kind not in ("parquet", "hub"):
        raise ValueError(
            f"{name_or_folder} is read picture by picture from its own files, of which no copy is made: streaming is "
            f"for parquet shards (mlic prepare_dataset writes them), tar shards and {HUB}owner/name. Leave it out."
        )
    loaded = load_splits(name_or_folder, data_dir, streaming=True, **config)
    if kind == "hub":
        return _of_hub(loaded, str(place))
    shards = parquet_shards(Path(place or ""))
    told = (read_manifest(Path(next(iter(shards.values()))[0]).parent) or {"splits": {}})["splits"]
    return {
        split: Stream(rows, parquet_rows(shards[split]), None, told[split]["hash"] if split in told else None)
        for split, rows in loaded.items()
    }


def parquet_rows(files: Sequence[str]) -> list[int]:
    """The rows of parquet files or of `hf://` addresses, by their footers."""
    import fsspec
    from pyarrow import parquet

    counts = []
    for name in files:
        with fsspec.open(name, "rb") as file:
            counts.append(parquet.read_metadata(file).num_rows)
    return counts


def _of_hub(loaded: Mapping[str, Any], name: str) -> dict[str, Stream]:
    """Parquet on the Hub is counted by its footers; of other files, the card may tell how many rows there are."""
    import datasets

    path, _, config = name.partition(":")
    builder = datasets.load_dataset_builder(path, config or None)
    if builder.name == "parquet":
        files = {str(split): list(urls) for split, urls in builder.config.data_files.items()}
        return {split: Stream(rows, parquet_rows(files[split])) for split, rows in loaded.items()}
    told = {split: info.num_examples for split, info in (builder.info.splits or {}).items()}
    return {split: Stream(rows, None, told.get(split) or None) for split, rows in loaded.items()}
