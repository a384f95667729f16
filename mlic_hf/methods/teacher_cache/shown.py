"""The images a teacher is asked about, by view and place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from torch.utils.data import Dataset

from mlic_hf.data import MultiLabelDataset


class Shown(Dataset):
    """Some data sets as one, asked by (view, place) instead of by place in the epoch that happens to be.

    Args:
        sets: the data sets, one after the other.
    """

    def __init__(self, sets: Sequence[MultiLabelDataset]) -> None:
        self.sets = sets
        self.places = [(one, index) for one in sets for index in range(len(one))]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, place: tuple[int, int]) -> dict[str, Any]:
        view, row = place
        images, index = self.places[row]
        return images.shown(index, view)

    def image_ids(self) -> list[str]:
        """The ids of all images.

        Raises:
            ValueError: if one occurs twice.
        """
        found = [image_id for one in self.sets for image_id in one.image_ids()]
        twice = [image_id for image_id, times in Counter(found).items() if times > 1]
        if twice:
            raise ValueError(f"{len(twice)} image ids occur twice, among them {twice[0]!r}: answers are kept by id.")
        return found
