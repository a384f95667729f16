"""Photographs without labels among the labelled ones: a transfer set, of which only a teacher has something to say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from mlic_hf.data.label_space import LabelSpace
from mlic_hf.data.multi_label_dataset import MultiLabelDataset
from mlic_hf.data.stateless_random import stateless_generator

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")


class Unlabelled:
    """Rows whose labels are all unknown, whatever the data say of them.

    Args:
        rows: with `image`, perhaps `image_id`; labels are not looked at.
        labels: the label space whose cells are unknown.
    """

    def __init__(self, rows: Any, labels: LabelSpace) -> None:
        feature = (getattr(rows, "features", None) or {}).get("image")
        if type(feature).__name__ == "Image":  # decoding is ours, at the size that is needed
            rows = rows.cast_column("image", type(feature)(decode=False))
        self.rows = rows
        self.label_space = labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.rows[index]
        image_id = str(row["image_id"]) if "image_id" in row else f"unlabelled-{index}"
        return {"image": row["image"], **self._unknown(image_id)}

    def without_images(self) -> Iterator[dict[str, Any]]:
        """Id and labels of every row; no picture is read where ids can be had without."""
        rows = self.rows
        if hasattr(rows, "without_images"):
            ids = [row["image_id"] for row in rows.without_images()]
        elif hasattr(rows, "column_names"):
            ids = rows["image_id"] if "image_id" in rows.column_names else [None] * len(rows)
        else:
            ids = [row.get("image_id") for row in rows]
        for place, found in enumerate(ids):
            yield self._unknown(f"unlabelled-{place}" if found is None else str(found))

    def _unknown(self, image_id: str) -> dict[str, Any]:
        return {"image_id": image_id, "labels": [], "ignored": list(range(len(self.label_space)))}


def pictures_of(folder: Path) -> list[dict[str, str]]:
    """The pictures of a folder and its subfolders as rows, by their paths in it, in alphabetical order.

    Raises:
        ValueError: if there are none.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise ValueError(f"{folder} holds no pictures ({', '.join(SUFFIXES)}).")
    return [{"image": str(path), "image_id": path.relative_to(folder).as_posix()} for path in paths]


class WithUnlabelled(Dataset):
    """Labelled examples and, in every epoch, some others drawn without repetition among those that have no labels.

    Every example says whether it is one of them (`unlabelled`). Their cells are all -1, so that losses on labels leave
    them out; losses that ask the teacher alone take them in (`Objective.hears_unlabelled`).

    Args:
        labelled: the examples with labels.
        unlabelled: the others, with the same transform and seed.
        ratio: how many of them an epoch shows for each labelled one; where there are fewer they come again.

    Raises:
        ValueError: for a ratio that is not above 0, or an image id on both sides.
    """

    def __init__(self, labelled: MultiLabelDataset, unlabelled: MultiLabelDataset, ratio: float = 1.0) -> None:
        if not ratio > 0:
            raise ValueError(f"The ratio of unlabelled images to labelled ones is {ratio}; it must be above 0.")
        twice = set(labelled.image_ids()) & set(unlabelled.image_ids())
        if twice:
            raise ValueError(
                f"{len(twice)} images are both labelled and unlabelled, among them {min(twice)!r}: leave them out of "
                "one side, or give them ids of their own."
            )
        self.labelled, self.unlabelled, self.ratio = labelled, unlabelled, ratio
        self._order: tuple[int, list[int]] = (-1, [])

    def each(self, change: Callable[[MultiLabelDataset], MultiLabelDataset]) -> WithUnlabelled:
        """The same mixture of changed sides."""
        return WithUnlabelled(change(self.labelled), change(self.unlabelled), self.ratio)

    @property
    def parts(self) -> Sequence[MultiLabelDataset]:
        """Both sides."""
        return (self.labelled, self.unlabelled)

    @property
    def labels(self) -> torch.Tensor:
        """(examples, C) of an epoch, -1 for those without; no picture is read."""
        known = self.labelled.labels
        return torch.cat([known, known.new_full((len(self) - len(known), known.shape[1]), -1.0)])

    def set_epoch(self, epoch: int) -> None:
        """Make the draws of this epoch from now on, in running workers too."""
        for part in self.parts:
            part.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.labelled) + round(self.ratio * len(self.labelled))

    def __getitem__(self, index: int) -> dict[str, Any]:
        place = int(index) - len(self.labelled)
        if place < 0:
            return self.labelled[int(index)] | {"unlabelled": torch.tensor(False)}
        drawn = self._drawn(self.unlabelled.epoch)
        return self.unlabelled[drawn[place % len(drawn)]] | {"unlabelled": torch.tensor(True)}

    def _drawn(self, epoch: int) -> list[int]:
        """The order of the unlabelled images in an epoch, made once an epoch and process."""
        if self._order[0] != epoch:
            generator = stateless_generator("unlabelled", self.unlabelled.seed, epoch)
            self._order = (epoch, generator.permutation(len(self.unlabelled)).tolist())
        return self._order[1]
