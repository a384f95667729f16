"""Every picture and label of a data set looked at once: what stands in it, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset

from mlic_hf.data import LabelSpace, co_occurrence_counts, read_image, without_images
from mlic_hf.reports.duplicates import Fingerprint, Group, find_duplicates, fingerprint


@dataclass(frozen=True)
class Place:
    """Where a picture stands."""

    split: str
    index: int
    image_id: str
    labels: tuple[int, ...]
    ignored: tuple[int, ...]


@dataclass
class SplitSurvey:
    """The numbers of one split.

    Attributes:
        images: rows, broken ones too.
        positives: (labels,) images with each label.
        ignored: (labels,) images of which each label is unknown.
        together: (labels, labels) images with both of two labels; 0 on the diagonal.
        cardinality: (most labels + 1,) images with so many labels.
        sizes: (width, height) of every picture that can be read.
    """

    images: int
    positives: np.ndarray
    ignored: np.ndarray
    together: np.ndarray
    cardinality: np.ndarray
    sizes: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class DataSurvey:
    """What `survey` found.

    Attributes:
        space: the labels.
        splits: split name to its numbers.
        places: every picture, split by split.
        broken: place to the reason why it cannot be read.
        duplicates: groups of the same picture.
    """

    space: LabelSpace
    splits: dict[str, SplitSurvey]
    places: list[Place]
    broken: dict[int, str]
    duplicates: list[Group]

    @property
    def leaks(self) -> list[Group]:
        """Duplicates that lie in more than one split: test pictures that were trained on."""
        return [group for group in self.duplicates if len({self.places[i].split for i in group.members}) > 1]

    @property
    def contradictions(self) -> list[Group]:
        """Duplicates whose labels differ."""
        return [group for group in self.duplicates if len({self.places[i].labels for i in group.members}) > 1]

    @property
    def absent(self) -> dict[str, list[str]]:
        """Split name to the labels that never occur in it."""
        return {
            name: [self.space.names[label] for label in np.flatnonzero(split.positives == 0)]
            for name, split in self.splits.items()
        }


def survey(splits: Mapping[str, Any], space: LabelSpace, num_workers: int = 0) -> DataSurvey:
    """Count the labels and decode every picture of a data set.

    Args:
        splits: split name to rows, of `mlic_hf.data.adapt_splits`.
        space: the labels of the rows.
        num_workers: processes that read pictures.

    Raises:
        ValueError: a split has no rows.
    """
    places: list[Place] = []
    prints: list[Fingerprint | None] = []
    broken: dict[int, str] = {}
    counted = {}
    for name, rows in splits.items():
        marks = list(without_images(rows))
        if not marks:
            raise ValueError(f"Split {name!r} has no rows, so nothing can be told about it.")
        counted[name] = _count(marks, len(space))
        loader: Any = DataLoader(Look(rows), batch_size=1, num_workers=num_workers, collate_fn=_the_only)
        for index, (mark, found) in enumerate(zip(marks, loader)):
            if isinstance(found, str):
                broken[len(places)] = found
                prints.append(None)
            else:
                size, one = found
                counted[name].sizes.append(size)
                prints.append(one)
            labels, ignored = tuple(sorted(mark["labels"])), tuple(sorted(mark["ignored"]))
            places.append(Place(name, index, mark["image_id"], labels, ignored))
    return DataSurvey(space, counted, places, broken, find_duplicates(prints))


class Look(Dataset):
    """Size and fingerprint of the pictures of rows, or why one cannot be read."""

    def __init__(self, rows: Any) -> None:
        from mlic_hf.data.multi_label_dataset import undecoded

        self.rows = undecoded(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[tuple[int, int], Fingerprint] | str:
        """((width, height), fingerprint), or the reason."""
        row = self.rows[index]
        try:
            image = read_image(row["image"], str(row["image_id"]))
        except ValueError as error:
            return str(error)
        return image.size, fingerprint(image)


def _the_only(batch: list[Any]) -> Any:
    return batch[0]


def _count(marks: list[dict[str, Any]], num_labels: int) -> SplitSurvey:
    together, positives = co_occurrence_counts([mark["labels"] for mark in marks], num_labels)
    _, ignored = co_occurrence_counts([mark["ignored"] for mark in marks], num_labels)
    cardinality = np.bincount([len(set(mark["labels"])) for mark in marks])
    return SplitSurvey(len(marks), positives, ignored, together, cardinality)
