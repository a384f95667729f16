"""One annotated image as every builder describes it, before any pixel is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {name: name for name in SPLITS} | {"valid": "validation", "val": "validation"}


class Record(NamedTuple):
    """One image and its labels, by name.

    Attributes:
        image_id: unique in the data set.
        path: absolute path of the image file; "" where the image is drawn or absent.
        labels: names of the positive labels, in the vocabulary's order.
        ignored: names of the labels that are unknown for this image (-1 in the multi-hot row).
        boxes: (label name, (left, top, right, bottom) in pixels) of every known object.
        size: (width, height) in pixels that the annotations promise, or None.
        source: file and line the record comes from, for error sentences.
    """

    image_id: str
    path: str = ""
    labels: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    boxes: tuple[tuple[str, tuple[float, float, float, float]], ...] = ()
    size: tuple[int, int] | None = None
    source: str = ""


@dataclass
class Annotations:
    """All records of a data set.

    Attributes:
        names: the label vocabulary, in the order of the label ids.
        splits: split name ("train", "validation", "test") to its records.
        notes: sentences on what was left out or converted, with counts.
    """

    names: list[str]
    splits: dict[str, list[Record]]
    notes: list[str] = field(default_factory=list)

    def label_counts(self, split: str) -> dict[str, int]:
        """How many images of a split carry each label; every name of the vocabulary is a key."""
        counts = dict.fromkeys(self.names, 0)
        for record in self.splits[split]:
            for label in record.labels:
                counts[label] += 1
        return counts


def features(names: Sequence[str], with_boxes: bool = False) -> Any:
    """The `datasets.Features` that all builders share.

    Args:
        names: label vocabulary in id order.
        with_boxes: add `boxes`, a list of {label, bbox (4,) left-top-right-bottom in pixels}.

    Returns:
        {image, image_id, labels, ignored[, boxes]}; images are decoded as RGB, so grey and CMYK files fit.
    """
    import datasets

    label = datasets.ClassLabel(names=list(names))
    columns: dict[str, Any] = {
        "image": datasets.Image(mode="RGB"),
        "image_id": datasets.Value("string"),
        "labels": datasets.Sequence(label),
        "ignored": datasets.Sequence(label),
    }
    if with_boxes:
        columns["boxes"] = [{"label": label, "bbox": datasets.Sequence(datasets.Value("float32"), length=4)}]
    return datasets.Features(columns)
