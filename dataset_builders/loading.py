"""Load any data set by name or by folder, with one schema and a cache that notices changes."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from dataset_builders.os_reason import os_reason
from dataset_builders.prepared import check_bytes, check_prepared, parquet_shards, read_manifest
from dataset_builders.ready_made import has_other_columns, is_saved_to_disk, load_hub, load_saved
from dataset_builders.table_file import ENDINGS as TABLE_ENDINGS
from dataset_builders.table_file import is_folder_of_tables
from dataset_builders.tar_shards import check_tar_options, stream_tars, survey, tar_shards

logger = logging.getLogger(__name__)

BUILDERS = {
    "digit_scenes": "DigitScenes",
    "coco": "Coco",
    "voc": "Voc",
    "nus_wide": "NusWide",
    "visual_genome": "VisualGenome",
    "folder": "ImageFolder",
    "table": "Table",
}

HUB = "hub:"
METADATA = "metadata.jsonl"


def load_splits(
    name_or_folder: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    *,
    split: str | None = None,
    streaming: bool = False,
    num_proc: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    **config: Any,
) -> Any:
    """Load a data set.

    Args:
        name_or_folder: "digit_scenes", "coco", "voc", "nus_wide", "visual_genome"; a table (.csv, .tsv, .jsonl,
            .parquet) of paths and labels; or a folder: of images with metadata.jsonl, of tables named
            train.csv, validation.csv, test.csv, of parquet shards, of tar shards (streaming only), or what
            `save_to_disk` wrote;
            "hub:owner/name" (or "hub:owner/name:config") is one on the Hub.
        data_dir: where the named data set lies (not for digit_scenes).
        split: one split or slice, such as "train[:10%]"; None gives all.
        streaming: iterable data sets that read no further than asked.
        num_proc: processes that build the cache.
        cache_dir: where the Arrow cache goes; None is the datasets library's own.
        config: options of the builder. Common: labels, other_labels, min_images_per_label, unlabeled,
            validation_fraction, split_seed, on_bad_image, check_images, with_boxes (`builder.RecordConfig`).

    Returns:
        A DatasetDict (IterableDatasetDict when streaming; one Dataset when `split` is given) with the columns
        image, image_id, labels, ignored[, boxes]. Data of others (Hub, disk, parquet) keeps its own columns:
        `mlic_hf.data.adapt_splits` reads them.

    Raises:
        ValueError: an unknown data set or option, or bad annotations; names file and line.
        FileNotFoundError: missing folders or images, all of a split together.
        ImportError: the extra `data` is not installed.
    """
    try:
        import datasets  # noqa: F401
    except ImportError as error:
        raise ImportError("Data sets need the datasets library: pip install 'mlic_hf[data]'.") from error
    name, folder = resolve(name_or_folder, data_dir)
    if name not in BUILDERS:
        place = os.fspath(folder or "")
        if name == "tar":
            return _load_tars(Path(place), split, streaming, config)
        if config:
            raise ValueError(
                f"{name_or_folder} was prepared before, so its options are fixed; {sorted(config)[0]!r} must "
                "be given to prepare_dataset.py when it writes the data set."
            )
        if name == "hub":
            return load_hub(place, split, streaming, num_proc, cache_dir)
        if name == "disk":
            return load_saved(Path(place), split, streaming)
        return _load_prepared(Path(place), split, streaming, num_proc, cache_dir)
    builder = make_builder(name, folder, cache_dir, **config)
    if streaming:
        loaded = builder.as_streaming_dataset(split=split)
    else:
        _build(builder, num_proc)
        loaded = builder.as_dataset(split=split)
    for note in filter(None, (builder.info.description or "").split("\n")):
        logger.warning("%s: %s", name_or_folder, note)
    return loaded


def make_builder(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    **config: Any,
) -> Any:
    """The `datasets` builder of a data set, keyed by its options, code and the state of its annotation files.

    Raises:
        ValueError: an unknown name or option.
        FileNotFoundError: data_dir is missing.
    """
    if name not in BUILDERS:
        raise ValueError(f"Unknown data set {name!r}; expected one of {', '.join(BUILDERS)} or a folder.")
    builder_class = getattr(importlib.import_module(f"dataset_builders.{name}"), BUILDERS[name])
    known = {field.name for field in fields(builder_class.BUILDER_CONFIG_CLASS)}
    known -= {"name", "version", "data_dir", "data_files", "description"}
    if unknown := sorted(set(config) - known):
        expected = ", ".join(sorted(known))
        where = "" if data_dir is None else f" ({data_dir})"
        raise ValueError(f"Unknown option {unknown[0]!r} of {name}{where}; expected one of {expected}.")
    folder: Path | None = None
    if name == "digit_scenes":
        if data_dir is not None:
            raise ValueError("digit_scenes is drawn on this machine and takes no data_dir; leave it out.")
    elif data_dir is None:
        raise ValueError(f"{name} needs data_dir, the folder its owners publish; see docs/datasets.md.")
    else:
        folder = Path(os.path.abspath(os.path.expanduser(data_dir)))
        if not folder.is_dir() and not (name == "table" and folder.is_file()):
            raise FileNotFoundError(f"data_dir {folder} is not a folder.")
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}
    # the config is made here once to have wrong values refused before any file is looked for
    config_object = builder_class.BUILDER_CONFIG_CLASS(data_dir=folder and str(folder), **options)
    corrections = [] if config_object.corrections is None else [Path(config_object.corrections)]
    key = source_hash([*builder_class.sources(config_object), *corrections])
    return builder_class(
        cache_dir=None if cache_dir is None else str(cache_dir),
        dataset_name=name,
        hash=key,
        data_dir=None if folder is None else str(folder),
        **options,
    )


def source_hash(annotation_files: Iterable[Path]) -> str:
    """16 hex digits of the builders' code and the size and time of every annotation file.

    `datasets` keys its cache by options and folder name alone; edited annotations or code would go unnoticed.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    for path in sorted(annotation_files):
        state = path.stat() if path.exists() else None
        digest.update(f"{str(path)!a} {state and (state.st_size, state.st_mtime_ns)}\n".encode())
    return digest.hexdigest()[:16]


def resolve(
    name_or_folder: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None
) -> tuple[str, str | os.PathLike[str] | None]:
    """The builder's name and the place it reads; "parquet", "tar", "disk" or "hub" for data that needs no builder.

    Raises:
        ValueError: neither a name nor a folder, or a folder given twice.
    """
    text = os.fspath(name_or_folder)
    if text in BUILDERS:
        return text, data_dir
    if text.startswith(HUB):
        return "hub", text.removeprefix(HUB)
    folder = Path(text).expanduser()
    is_table = folder.is_file() and folder.suffix.lower() in TABLE_ENDINGS
    if not folder.is_dir() and not is_table:
        raise ValueError(
            f"{text!r} is neither a folder nor a data set; expected a folder with metadata.jsonl, a table "
            f"({', '.join(TABLE_ENDINGS)}), hub:owner/name or one of {', '.join(BUILDERS)}."
        )
    if data_dir is not None:
        raise ValueError(
            f"{text!r} is a {'table' if is_table else 'folder'} itself; data_dir is for named data sets, leave it out."
        )
    if is_table or is_folder_of_tables(folder):
        return "table", folder
    if is_saved_to_disk(folder):
        return "disk", folder
    held = [
        (kind, what)
        for kind, what, there in (
            ("tar", "tar shards", tar_shards(folder)),
            ("parquet", "parquet shards", parquet_shards(folder)),
            ("folder", METADATA, (folder / METADATA).is_file()),
        )
        if there
    ]
    if len(held) > 1:
        raise ValueError(
            f"{folder} holds {held[1][1]} and {held[0][1]}, and only one of the two can be meant; move one away."
        )
    return (held[0][0] if held else "folder"), folder


def _load_tars(folder: Path, split: str | None, streaming: bool, config: dict[str, Any]) -> Any:
    """Tar shards of a folder, which can only be streamed."""
    import datasets

    if not streaming:
        raise ValueError(f"{folder} holds tar shards, which are read from one end to the other: ask for streaming.")
    check_tar_options(config)
    shards = tar_shards(folder)
    if split is not None and split not in shards:
        raise ValueError(f"split is {split!r}, but {folder} has {', '.join(shards)} (slices are for other data sets).")
    names = survey(shards, config.get("labels")).names
    splits = {name: stream_tars(paths, names) for name, paths in shards.items()}
    return datasets.IterableDatasetDict(splits) if split is None else splits[split]


def _load_prepared(
    folder: Path, split: str | None, streaming: bool, num_proc: int | None, cache_dir: str | os.PathLike[str] | None
) -> Any:
    """Parquet shards of a folder; those that prepare_dataset.py wrote are checked against their manifest."""
    import datasets

    shards = parquet_shards(folder)
    foreign = read_manifest(Path(next(iter(shards.values()))[0]).parent) is None and has_other_columns(shards)
    manifest = "" if foreign else check_prepared(shards)
    builder = datasets.load_dataset_builder(
        "parquet", data_files=shards, cache_dir=None if cache_dir is None else str(cache_dir)
    )
    if streaming:
        return builder.as_streaming_dataset(split=split)
    if not os.path.exists(builder.cache_dir):
        check_bytes(shards)  # every byte is read now in any case
        _build(builder, num_proc)
    loaded = builder.as_dataset(split=split)
    if not foreign and check_prepared(parquet_shards(folder)) != manifest:
        raise ValueError(f"{folder} was replaced while it was read; load it again.")
    return loaded


def _build(builder: Any, num_proc: int | None) -> None:
    """Fill the Arrow cache.

    Raises:
        OSError: the cache cannot be written; names its folder.
    """
    from datasets.exceptions import DatasetGenerationError

    try:
        builder.download_and_prepare(num_proc=num_proc)
    except (DatasetGenerationError, OSError) as error:
        cause: BaseException = error
        while isinstance(cause, DatasetGenerationError) and cause.__cause__ is not None:
            cause = cause.__cause__
        if not isinstance(cause, OSError) or (cause.errno is None and type(cause) is not OSError):
            raise cause from None  # a sentence of our own, about the data
        raise OSError(
            f"The cache {builder.cache_dir} cannot be written: {os_reason(cause)}; make room there, or "
            "give another cache_dir."
        ) from error
