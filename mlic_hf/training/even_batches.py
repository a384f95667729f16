"""The last batch of an epoch on several processes: filled up with images whose labels count as unknown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler

from mlic_hf.data import EpochSampler, label_matrix


class EvenSampler(Sampler[int]):
    """The order of an epoch, filled up to a multiple of the global batch.

    Every process needs as many micro-batches as the others. Left alone, accelerate repeats the epoch's first images
    as if they were new; here a repeat has an index past the end, by which `UnlabelledRepeats` knows it.

    Args:
        sampler: the order of the images.
        multiple: images in a global micro-batch.
    """

    def __init__(self, sampler: EpochSampler, multiple: int) -> None:
        self.sampler = sampler
        self.multiple = multiple

    def set_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.multiple) * self.multiple

    def __iter__(self) -> Iterator[int]:
        order = list(self.sampler)
        images = len(self.sampler.dataset)
        repeats = (order[i % len(order)] + images for i in range(len(self) - len(order)))
        return iter([*order, *repeats])


class UnlabelledRepeats(Dataset):
    """A dataset with its images again behind its end, whose labels are -2: not there, which is less than unknown (-1).

    No loss looks at such an image, not even one that learns from unknown labels, and no count, so the global batch is
    the one that a single process has. Batch normalisation that is not frozen does see it.

    Args:
        dataset: rows with `labels`.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def set_epoch(self, epoch: int) -> None:
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)

    @property
    def labels(self) -> torch.Tensor:
        """(images, C) those of the images, each once."""
        return label_matrix(self.dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index < len(self.dataset):
            return self.dataset[index]
        row = self.dataset[index - len(self.dataset)]
        nobody = {"unlabelled": torch.tensor(False)} if "unlabelled" in row else {}  # the teacher is not heard either
        return {**row, "labels": torch.full_like(row["labels"], -2.0), **nobody}
