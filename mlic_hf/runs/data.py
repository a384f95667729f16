"""From the settings to the data sets of a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset_builders import load_splits
from dataset_builders.loading import BUILDERS, resolve
from dataset_builders.streams import load_streams
from mlic_hf.data import (
    LabelSpace,
    MultiLabelDataset,
    ShardedRows,
    TransformConfig,
    Unlabelled,
    WithUnlabelled,
    adapt_splits,
    build_transform,
    examples_of,
    is_stream,
    label_lists,
    pictures_of,
    stratified_split,
    transform_preset,
    without_images,
)
from mlic_hf.methods.psd.partition import Partition
from mlic_hf.methods.views import PixelSpec
from mlic_hf.runs.options import RunOptions


@dataclass(frozen=True)
class Data:
    """The loaded splits, the labels a model answers for, and a description that goes into run.json."""

    splits: Any
    labels: LabelSpace
    described: dict[str, Any]

    def images(self, split: str | None, setting: str) -> Any:
        """The rows of a split; None for no split.

        Raises:
            ValueError: if the data set does not have it.
        """
        if split is None:
            return None
        if split not in self.splits:
            raise ValueError(
                f"{setting} is {split!r}, but {self.described['name']} has the splits {', '.join(self.splits)}; "
                "choose one of them, or let the builder cut one off with "
                'data_options: {"validation_fraction": 0.1}.'
            )
        return self.splits[split]


def of_part(data: Data, partition: str, part: int) -> Data:
    """The same images with the labels of one part of a partition; an image without any is a full negative.

    Raises:
        ValueError: if the partition is of other labels or has no such part.
    """
    loaded = Partition.load(partition)
    loaded.positions(data.labels.names)
    if not 0 <= part < loaded.num_parts:
        raise ValueError(f"part is {part}, but {partition} has the parts 0 to {loaded.num_parts - 1}.")
    labels = data.labels.subset(loaded.parts[part])
    described = data.described | {"labels": len(labels), "labels_hash": labels.hash}
    return Data(data.splits, labels, described)


def folds_of(data: Data, split: str, folds: int) -> list[np.ndarray]:
    """The images of a split in folds, each with its share of every label; the same for the same data.

    Raises:
        ValueError: if there is no such split, or fewer than two folds or more than images.
    """
    rows = data.images(split, "train_split")
    if not 2 <= folds <= len(rows):
        raise ValueError(f"folds is {folds}; between 2 and the {len(rows)} images of {split} was expected.")
    return stratified_split(label_lists(rows), len(data.labels), [1 / folds] * folds)


def without_fold(data: Data, split: str, folds: int, fold: int) -> Data:
    """The same data without one fold of a split, so that a model can be asked about images it has not seen.

    Raises:
        ValueError: if there is no such fold or split.
    """
    parts = folds_of(data, split, folds)
    if not 0 <= fold < folds:
        raise ValueError(f"fold is {fold}, but there are the folds 0 to {folds - 1}.")
    rest = data.splits[split].select(np.concatenate([p for i, p in enumerate(parts) if i != fold]).tolist())
    told = {**data.described["splits"], split: {"images": len(rest), "hash": split_hash(rest)}}
    return Data({**data.splits, split: rest}, data.labels, {**data.described, "splits": told})


def load_data(run: RunOptions) -> Data:
    """Load a run's data set, with all its labels or those of one part of a partition."""
    load = stream_rows if run.streaming else load_rows
    splits, labels = load(run.dataset, run.data_dir, run.data_options)
    described = {
        "name": run.dataset,
        "options": run.data_options,
        "labels": len(labels),
        "labels_hash": labels.hash,
        "splits": {name: describe(rows) for name, rows in splits.items()},
    }
    data = Data(splits, labels, described)
    if run.folds is not None and run.fold is not None:
        data = without_fold(data, run.train_split, run.folds, run.fold)
    if run.partition is None or run.part is None:
        return data
    return of_part(data, run.partition, run.part)


def load_rows(dataset: str, data_dir: str | None, options: Mapping[str, Any]) -> tuple[dict[str, Any], LabelSpace]:
    """The rows of every split and their label space.

    Args:
        dataset: see `load_splits`.
        data_dir: see `load_splits`.
        options: those of the data set's builder; those of `adapt` (labels, image_column, label_column,
            label_form) where it has none, such as one on the Hub.
    """
    has_builder = resolve(dataset, data_dir)[0] in BUILDERS
    splits = load_splits(dataset, data_dir=data_dir, **(options if has_builder else {}))
    return adapt_splits(splits, **({} if has_builder else options))


def stream_rows(dataset: str, data_dir: str | None, options: Mapping[str, Any]) -> tuple[dict[str, Any], LabelSpace]:
    """The rows of every split as a stream, and their label space.

    Args:
        dataset: see `load_streams`.
        data_dir: see `load_streams`.
        options: `labels` of tar shards; those of `adapt` where the data has columns of its own.
    """
    tars = resolve(dataset, data_dir)[0] == "tar"
    streams = load_streams(dataset, data_dir, **(options if tars else {}))
    rows = {name: ShardedRows(part.rows, part.counts, part.length, part.hash) for name, part in streams.items()}
    return adapt_splits(rows, **({} if tars else options))


def describe(rows: Any) -> dict[str, Any]:
    """How many images a split has, and their hash; None for what a stream does not tell before it is read."""
    if isinstance(rows, ShardedRows):
        return {"images": rows.length, "hash": rows.hash, "shards": rows.num_shards}
    return {"images": len(rows), "hash": split_hash(rows)}


def split_hash(rows: Any) -> str:
    """16 hex digits of the ids and labels of a split, in their order: two runs with one hash saw the same data."""
    digest = hashlib.sha256()
    for row in without_images(rows):
        digest.update(json.dumps([row["image_id"], row["labels"], row["ignored"]]).encode())
    return digest.hexdigest()[:16]


def training_set(run: RunOptions, data: Data, pixels: PixelSpec, views: int, seed: int) -> MultiLabelDataset:
    """The augmented training images, sized and normalised as `pixels` says."""
    transform = transform_preset(run.transform, pixels.image_size, pixels.mean, pixels.std, **run.transform_options)
    rows = data.images(run.train_split, "train_split")
    options = _of_rows(run, rows) | {"views": views, "seed": seed}
    return examples_of(rows, data.labels, build_transform(transform), **options)


def with_unlabelled(run: RunOptions, data: Data, images: Any) -> Any:
    """The training images and those that the run names as `unlabelled`, drawn as they are.

    Raises:
        ValueError: if there are none such, or the training images are a stream.
    """
    if run.unlabelled is None:
        return images
    if not isinstance(images, MultiLabelDataset):
        raise ValueError("unlabelled images are mixed with images that can be counted: load the data set whole.")
    kind, colon, name = run.unlabelled.partition(":")
    if colon and kind == "split":
        rows = data.images(name, "unlabelled")
    elif Path(run.unlabelled).is_dir():
        rows = pictures_of(Path(run.unlabelled))
    else:
        raise ValueError(f"unlabelled is {run.unlabelled!r}; it is a folder of pictures, or split:NAME.")
    others = MultiLabelDataset(
        Unlabelled(rows, data.labels),
        data.labels,
        images.transform,
        images.views,
        images.seed,
        cache_images=run.cache_images,
    )
    return WithUnlabelled(images, others, run.unlabelled_ratio)


def evaluation_set(run: RunOptions, data: Data, pixels: PixelSpec, split: str | None, setting: str) -> Any:
    """The images of a split as the model sees them in use; None for no split."""
    rows = data.images(split, setting)
    if rows is None:
        return None
    transform = TransformConfig(kind="eval", **vars(pixels))
    return examples_of(rows, data.labels, build_transform(transform), **_of_rows(run, rows))


def _of_rows(run: RunOptions, rows: Any) -> dict[str, Any]:
    return {"buffer_size": run.shuffle_buffer} if is_stream(rows) else {"cache_images": run.cache_images}


def label_counts(data: Data, space: LabelSpace) -> list[int]:
    """How many training images have each label of a model."""
    counted = [0] * len(data.labels)
    for labels in label_lists(data.splits["train"]):
        for label in labels:
            counted[label] += 1
    return [counted[position] for position in data.labels.positions(space.names)]
