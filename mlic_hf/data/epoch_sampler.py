"""The order of an epoch, as a function of seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sized

import numpy as np
from torch.utils.data import Sampler

from mlic_hf.data.repeat_factors import repeated_order
from mlic_hf.data.stateless_random import stateless_generator


class EpochSampler(Sampler[int]):
    """Indices of a dataset in an order that depends on (seed, epoch) alone.

    All processes see the same order, so splitting it among them is exact, and a resumed run continues it.

    Args:
        dataset: anything with a length; if it has `set_epoch`, that is called along.
        seed: of the order.
        shuffle: False gives 0, 1, 2, ... in every epoch.
        factors: (images,) how often each image is seen in an epoch, of `repeat_factors`; once when None. The copies
            of an image in one epoch are the same draw of it, for a draw knows the epoch and the image alone.

    Raises:
        ValueError: factors without shuffling, or not one an image.
    """

    def __init__(self, dataset: Sized, seed: int, shuffle: bool = True, factors: np.ndarray | None = None) -> None:
        if factors is not None and not (shuffle and len(factors) == len(dataset)):
            raise ValueError(f"{len(factors)} factors for {len(dataset)} images; one an image, shuffled, is wanted.")
        self.dataset = dataset
        self.seed = seed
        self.shuffle = shuffle
        self.factors = factors
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch, and the dataset's draws with it."""
        self.epoch = int(epoch)
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(self.epoch)

    def __len__(self) -> int:
        return len(self.dataset) if self.factors is None else max(1, round(self.factors.sum()))

    def __iter__(self) -> Iterator[int]:
        if not self.shuffle:
            return iter(range(len(self)))
        if self.factors is not None:
            return iter(repeated_order(self.factors, self.seed, self.epoch).tolist())
        order = stateless_generator("order", self.seed, self.epoch).permutation(len(self))
        return iter(order.tolist())
