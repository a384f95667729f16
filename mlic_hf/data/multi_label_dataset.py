"""The torch dataset: rows of images and labels to the tensors of a batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from mlic_hf.data.adapted_rows import without_images
from mlic_hf.data.label_space import LabelSpace
from mlic_hf.data.stateless_random import stateless_generator
from mlic_hf.data.view_of_epoch import view_of_epoch
from mlic_hf.pictures.image_reading import read_image

MISSING_LABELS = ("raise", "ignored")


class UnreadableImage(ValueError):
    """A picture that cannot be read, as opposed to rows that are wrong."""


class MultiLabelDataset(Dataset):
    """Rows `{image, image_id, labels, ignored}` as pixel values and multi-hot labels.

    Every random draw is a function of (seed, epoch, image_id, view) alone: it does not depend on the order,
    the worker, the process or earlier epochs. The epoch lives in shared memory, so that `set_epoch` also
    reaches workers that are already running.

    Args:
        rows: what `adapt` returns: a `datasets.Dataset` with the columns of `dataset_builders`, or anything
            that gives dicts with the same keys (labels as ids or names; image as a path, bytes or Pillow
            image; `ignored` is optional).
        label_space: the labels of the model. Those of the rows are matched to it by name; labels of the rows
            that are not in it are dropped, so a part of the labels trains on its own labels only.
        transform: `transform(image, generator) -> (3, H, W)`, of `build_transform`.
        views: 1, or 2 for a second, independently drawn view.
        seed: of the draws.
        cache_images: decode every image once, now, and keep it (uint8) in memory. Forked workers share it.
        cache_limit_gb: the most that the cache may take, in GB.
        missing_labels: what to do with names of `label_space` that the rows do not know: "raise", or
            "ignored" (they are -1 for these rows, as in a merge of data sets).

    Raises:
        ValueError: wrong views, unknown labels, an image that cannot be read, or a cache over its limit.
    """

    def __init__(
        self,
        rows: Any,
        label_space: LabelSpace,
        transform: Callable[[Image.Image, np.random.Generator], torch.Tensor],
        views: int = 1,
        seed: int = 0,
        *,
        cache_images: bool = False,
        cache_limit_gb: float = 4.0,
        missing_labels: str = "raise",
    ) -> None:
        if views not in (1, 2):
            raise ValueError(f"A dataset gives 1 or 2 views of an image, but views is {views!r}.")
        if missing_labels not in MISSING_LABELS:
            raise ValueError(f"missing_labels is {missing_labels!r}, but must be one of {', '.join(MISSING_LABELS)}.")
        self.rows = undecoded(rows)
        self.label_space = label_space
        self.transform = transform
        self.views = views
        self.seed = seed
        self.repeats_after: int | None = None
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._ids, self._unknown = map_label_ids(rows, label_space, missing_labels)
        self._cache: list[np.ndarray] | None = None
        if cache_images:
            self._cache = self._decode_all(cache_limit_gb)

    @property
    def epoch(self) -> int:
        """The epoch that the draws are made for."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Make the draws of this epoch from now on, in running workers too."""
        self._epoch.fill_(int(epoch))

    def repeating(self, epochs: int) -> MultiLabelDataset:
        """The same images, whose draws come again after some epochs; examples then say which draw they are (`view`).

        Args:
            epochs: epoch e shows what epoch e mod `epochs` showed.
        """
        found = copy.copy(self)
        found.repeats_after = epochs
        return found

    def image_ids(self) -> list[str]:
        """The ids of the images in their order; no picture is read."""
        return [row["image_id"] for row in without_images(self.rows)]

    @property
    def labels(self) -> torch.Tensor:
        """(images, labels) of all rows; no picture is read."""
        return torch.stack([self.targets(row, row["image_id"]) for row in without_images(self.rows)])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One example of this epoch: see `shown`; with `view` where the draws come again."""
        view = view_of_epoch(self.epoch, self.repeats_after)
        example = self.shown(index, view)
        return example if self.repeats_after is None else example | {"view": view}

    def shown(self, index: int, epoch: int) -> dict[str, Any]:
        """What an epoch shows of an image, whatever the epoch is now.

        Returns:
            pixel_values (3, H, W), labels (labels,), image_id, and second_view with two views.
        """
        row = self.rows[int(index)]
        image = None if self._cache is None else Image.fromarray(self._cache[int(index)])
        return self.example(row, epoch, image)

    def example(self, row: Mapping[str, Any], epoch: int, image: Image.Image | None = None) -> dict[str, Any]:
        """The example of a row with the draws of an epoch; its picture is read unless it is given."""
        image_id = str(row["image_id"])
        picture = self._read(row, image_id) if image is None else image
        views = [
            self.transform(picture, stateless_generator(self.seed, epoch, image_id, view))
            for view in range(self.views)
        ]
        example = {"pixel_values": views[0], "labels": self.targets(row, image_id), "image_id": image_id}
        if self.views == 2:
            example["second_view"] = views[1]
        return example

    def _read(self, row: Mapping[str, Any], image_id: str) -> Image.Image:
        try:
            return read_image(row["image"], image_id, getattr(self.transform, "minimum_size", None))
        except ValueError as error:
            raise UnreadableImage(str(error)) from error

    def targets(self, row: Mapping[str, Any], image_id: str) -> torch.Tensor:
        """A row's labels (labels,) in {1, 0, -1}; the id is for messages."""
        try:
            labels = self._to_ids(row["labels"])
            ignored = self._to_ids(row.get("ignored") or ())
            return self.label_space.multi_hot(labels, [*ignored, *self._unknown])
        except ValueError as error:
            raise ValueError(f"The labels of image {image_id!r} cannot be used: {error}") from None

    def _to_ids(self, labels: Sequence[int | str]) -> list[int]:
        if self._ids is None:
            return [self.label_space.index(x) if isinstance(x, str) else int(x) for x in labels]
        if outside := [label for label in map(int, labels) if label not in self._ids]:
            raise ValueError(f"the id {outside[0]} lies outside 0 to {len(self._ids) - 1}, the rows' own labels.")
        known = (self._ids[label] for label in map(int, labels))
        return [label for label in known if label is not None]

    def _decode_all(self, limit_gb: float) -> list[np.ndarray]:
        minimum_size = getattr(self.transform, "minimum_size", None)
        pictures: list[np.ndarray] = []
        used = 0
        for row in self.rows:
            pictures.append(np.asarray(read_image(row["image"], str(row["image_id"]), minimum_size)))
            used += pictures[-1].nbytes
            if used > limit_gb * 1e9:
                raise ValueError(
                    f"The image cache is full after {len(pictures)} of {len(self.rows)} images "
                    f"({limit_gb} GB); raise cache_limit_gb, or set cache_images to false."
                )
        return pictures


def undecoded(rows: Any) -> Any:
    """The same rows with images as bytes or paths: decoding is ours, at the size that is needed."""
    if not hasattr(rows, "cast_column"):
        return rows
    import datasets

    wanted = [name for name in ("image", "image_id", "labels", "ignored") if name in rows.column_names]
    missing = {"image", "image_id", "labels"} - set(wanted)
    if missing:
        raise ValueError(
            f"The dataset has the columns {', '.join(rows.column_names)}, but needs "
            f"{', '.join(sorted(missing))} as well; pass it through mlic_hf.data.adapt first."
        )
    return rows.select_columns(wanted).cast_column("image", datasets.Image(decode=False))


def map_label_ids(
    rows: Any, label_space: LabelSpace, missing_labels: str = "raise"
) -> tuple[dict[int, int | None] | None, list[int]]:
    """How the rows' own label ids map to those of a label space, by name.

    Args:
        rows: with `features` (a `datasets.Dataset`) or `label_space` (of `adapt`), or without both (then ids
            are those of the target).
        label_space: the target.
        missing_labels: "raise" or "ignored", for names of the label space that the rows do not have.

    Returns:
        row id -> label-space id, or None where the label space does not have the name (no mapping at all where
        rows have no names of their own), and the label-space ids that the rows know nothing about.

    Raises:
        ValueError: names are missing and missing_labels is "raise".
    """
    if getattr(rows, "features", None) is None and getattr(rows, "label_space", None) is None:
        return None, []
    own = LabelSpace.from_dataset(rows)
    missing = [name for name in label_space.names if name not in own]
    if missing and missing_labels == "raise":
        raise ValueError(
            f"The dataset does not have {len(missing)} of the {len(label_space)} labels asked for "
            f"({', '.join(missing[:6])}{', ...' if len(missing) > 6 else ''}); check the names, or pass "
            "missing_labels='ignored' to train these labels on other data only."
        )
    return {own.index(name): label_space.label2id.get(name) for name in own.names}, label_space.positions(missing)
