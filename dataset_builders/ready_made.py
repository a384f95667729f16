"""Data sets that somebody else wrote, with columns of their own: on the Hub, on disk, or as Parquet shards."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HOUSE = ("image", "image_id", "labels", "ignored")


def is_saved_to_disk(folder: Path) -> bool:
    """Whether `save_to_disk` of a Dataset or DatasetDict wrote a folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def has_other_columns(shards: Mapping[str, Sequence[str]]) -> bool:
    """Whether Parquet shards hold columns that prepare_dataset.py does not write, or lack some of its own."""
    import pyarrow
    from pyarrow import parquet

    try:
        names = parquet.read_schema(next(iter(shards.values()))[0]).names
    except (pyarrow.ArrowException, OSError):
        return False  # whoever reads them says it better
    return not set(HOUSE) <= set(names)


def load_hub(
    name: str, split: str | None, streaming: bool, num_proc: int | None, cache_dir: str | os.PathLike[str] | None
) -> Any:
    """A data set on the Hub, as it is.

    Args:
        name: owner/name, or owner/name:config where it has several.
        split: see `load_splits`, as the rest.

    Raises:
        ValueError: it is a loading script, which is not run.
    """
    import datasets

    path, _, config = name.partition(":")
    try:
        return datasets.load_dataset(
            path,
            config or None,
            split=split,
            streaming=streaming,
            num_proc=num_proc,
            cache_dir=None if cache_dir is None else str(cache_dir),
        )
    except RuntimeError as error:
        raise ValueError(f"hub:{name} cannot be loaded: {error}") from error


def hub_tables(name: str, split: str | None = None) -> list[str]:
    """The addresses (hf://) of a Hub data set's Parquet files at its newest commit, split after split.

    Args:
        name: owner/name, or owner/name:config where it has several.
        split: one of its splits; None for all.

    Raises:
        ImportError: `datasets` is not installed.
        ValueError: it is not made of Parquet files, or does not have the split.
    """
    try:
        import datasets
    except ImportError as error:
        raise ImportError("a data set on the Hub needs datasets: pip install 'mlic_hf[data]'") from error
    path, _, config = name.partition(":")
    try:
        builder = datasets.load_dataset_builder(path, config or None)
    except RuntimeError as error:
        raise ValueError(f"hub:{name} cannot be loaded: {error}") from error
    if builder.name != "parquet":
        raise ValueError(
            f"hub:{name} is made of {builder.name} files, and only Parquet can be read where it lies: fetch it with "
            f"`hf download {path} --repo-type dataset --local-dir FOLDER`, and give the folder or its tars."
        )
    files = {str(name): list(addresses) for name, addresses in builder.config.data_files.items()}
    if split is not None and split not in files:
        raise ValueError(f"split is {split!r}, but hub:{name} has {', '.join(files)}.")
    return [address for part in ([split] if split else files) for address in files[part]]


def load_saved(folder: Path, split: str | None, streaming: bool) -> Any:
    """A data set that `save_to_disk` wrote; a single Dataset is the split "train".

    Raises:
        ValueError: it does not have the split.
    """
    import datasets

    loaded = datasets.load_from_disk(str(folder))
    if not isinstance(loaded, datasets.DatasetDict):
        loaded = datasets.DatasetDict({"train": loaded})
    if streaming:
        loaded = datasets.IterableDatasetDict({name: part.to_iterable_dataset() for name, part in loaded.items()})
    if split is None:
        return loaded
    if split not in loaded:
        raise ValueError(f"split is {split!r}, but {folder} has {', '.join(loaded)} (slices are for other data sets).")
    return loaded[split]
