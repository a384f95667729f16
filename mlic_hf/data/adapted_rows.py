"""Rows {image, image_id, labels, ignored} over data of another shape, translated when they are asked for."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.data import IterableDataset

from mlic_hf.data.columns import cells_of, is_cheap, narrow
from mlic_hf.data.label_column import LabelColumn
from mlic_hf.data.sharded_rows import ShardedRows


class RowShape:
    """How one row of the data becomes {image, image_id, labels, ignored}."""

    def __init__(
        self, image: str, reader: LabelColumn, label: str, has_id: bool, has_ignored: bool, unlisted: str = "negative"
    ) -> None:
        self.image = image
        self.label = label
        self.reader = reader
        self.has_id = has_id
        self.unlisted = unlisted
        self.ignored = None
        if has_ignored:
            form = "ids" if reader.form == "multi_hot" else reader.form
            self.ignored = LabelColumn(form, reader.own, reader.space)

    def labels(self, row: Mapping[str, Any], where: str) -> dict[str, list[int]]:
        """The two label lists of a row."""
        present, unknown = self.reader.read(row[self.label], f"{where}, column {self.label!r},")
        if self.ignored is not None:
            unknown = sorted({*unknown, *self.ignored.read(row["ignored"] or [], f"{where}, column 'ignored',")[0]})
        if self.unlisted == "unknown":
            unknown = sorted(set(range(len(self.reader.space))) - set(present))
        return {"labels": present, "ignored": unknown}

    def __call__(self, row: Mapping[str, Any], image_id: str | None = None) -> dict[str, Any]:
        """The row; without an id of its own or a given one, its picture's path or hash is its id."""
        if self.has_id:
            image_id = str(row["image_id"])
        image = as_picture(row[self.image])
        image_id = _id_of_picture(image) if image_id is None else image_id
        return {"image": image, "image_id": image_id, **self.labels(row, f"Image {image_id!r}")}


class AdaptedRows:
    """Map-style rows of `adapt`, translated one by one when they are asked for.

    Attributes:
        label_space: the labels that the ids of the rows mean.
    """

    def __init__(self, source: Any, shape: RowShape) -> None:
        self.source = source
        self.shape = shape
        self.label_space = shape.reader.space
        self.places: Sequence[int] = range(len(source))
        self._ids = None if shape.has_id else _file_names(source, shape.image)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The row of a place, counted from the end where it is negative."""
        place = self.places[index]
        return self.shape(self.source[place], self._id(place))

    def select(self, indices: Sequence[int]) -> AdaptedRows:
        """Some of the rows, with the ids that they have among all."""
        chosen = copy.copy(self)
        chosen.places = [self.places[index] for index in indices]
        return chosen

    def without_images(self) -> Iterator[dict[str, Any]]:
        """Id and labels of every row; no picture is read where the source keeps its columns apart."""
        keep = [name for name in (self.shape.label, "image_id", "ignored") if name in self.source[0]]
        source = narrow(self.source, keep)
        whole = isinstance(self.places, range)
        for place, row in zip(self.places, source if whole else (source[place] for place in self.places)):
            image_id = str(row["image_id"]) if self.shape.has_id else self._id(place)
            yield {"image_id": image_id, **self.shape.labels(row, f"Image {image_id!r}")}

    def _id(self, place: int) -> str:
        return str(place) if self._ids is None else self._ids[place]


class AdaptedStream(IterableDataset):
    """Iterable rows of `adapt` over any iterable of dicts that is no `datasets` stream.

    Attributes:
        label_space: the labels that the ids of the rows mean.
    """

    def __init__(self, source: Iterable[Mapping[str, Any]], shape: RowShape) -> None:
        self.source = source
        self.shape = shape
        self.label_space = shape.reader.space

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self.shape, self.source)

    def set_epoch(self, epoch: int) -> None:
        """Tell the source, where it wants to know."""
        if hasattr(self.source, "set_epoch"):
            self.source.set_epoch(epoch)


def without_images(rows: Any) -> Iterator[dict[str, Any]]:
    """`{image_id, labels, ignored}` of every row of a data set, without reading its pictures.

    Args:
        rows: of `adapt`, or a `datasets.Dataset` of the same schema, or a sequence of such dicts.
    """
    if hasattr(rows, "without_images"):
        yield from rows.without_images()
        return
    source = rows.rows if isinstance(rows, ShardedRows) else rows
    names = ("image_id", "labels", "ignored")
    source = narrow(source, [name for name in names if name in (getattr(source, "column_names", None) or names)])
    rows = rows.over(source) if isinstance(rows, ShardedRows) else source
    if hasattr(rows, "select_columns") and hasattr(rows, "__len__"):  # a column at once is faster than rows
        columns = rows.with_format(None)[:]
        rows = (dict(zip(columns, cells)) for cells in zip(*columns.values()))
    for row in rows:
        yield {"image_id": str(row["image_id"]), "labels": row["labels"], "ignored": row.get("ignored") or []}


def label_lists(rows: Any) -> list[list[int]]:
    """The label ids of every row of a data set, without reading its pictures; see `without_images`."""
    return [row["labels"] for row in without_images(rows)]


def as_picture(value: Any) -> Any:
    """A picture that `read_image` takes: arrays and tensors of 8-bit pixels become Pillow images.

    Raises:
        ValueError: an array of another type or shape.
    """
    if getattr(value, "ndim", None) is None or isinstance(value, Image.Image):
        return value
    pixels = np.asarray(value)
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3) and pixels.shape[2] not in (1, 3):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise ValueError(
            f"A picture is an array of {pixels.dtype} of the shape {pixels.shape}; uint8 (height, width[, 3]) "
            "or (3, height, width) was expected."
        )
    return Image.fromarray(np.ascontiguousarray(pixels))


def _file_names(source: Any, image: str) -> list[str] | None:
    """The names of the picture files, where all rows have one and no two the same."""
    features = getattr(source, "features", None) or {}
    if not is_cheap(source) or type(features.get(image)).__name__ == "Image":
        return None  # asking an Image column for its paths would read the pictures
    names = [os.path.basename(_path_of(cell) or "") for cell in cells_of(source, image)]
    return names if all(names) and len(set(names)) == len(names) else None


def _path_of(image: Any) -> str | None:
    path = image.get("path") if isinstance(image, Mapping) else image
    return os.fspath(path) if isinstance(path, (str, os.PathLike)) else None


def _id_of_picture(image: Any) -> str:
    """An id that does not depend on the order of a stream: the path, or a hash of what the picture holds."""
    content = image.get("bytes") if isinstance(image, Mapping) else image
    if isinstance(content, Image.Image):
        content = repr((content.mode, content.size)).encode() + content.tobytes()
    if isinstance(content, bytes):
        return hashlib.blake2b(content, digest_size=12).hexdigest()
    return str(_path_of(image))
