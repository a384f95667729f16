"""LL-Cp: unlisted cells of the largest losses become positives for good, so somebody has to remember them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mlic_hf import losses
from mlic_hf.losses.gather import gather_rows
from mlic_hf.losses.large_loss import large_cells
from mlic_hf.losses.unlisted import split_cells
from mlic_hf.methods.base import MethodBatch, Objective


class CorrectedCells(nn.Module):
    """Which cells of the training images were made positive, by the images' ids; it goes with the checkpoints.

    Args:
        num_images: training images.
        num_labels: C.
    """

    keys: Tensor
    corrected: Tensor

    def __init__(self, num_images: int, num_labels: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(num_images, dtype=torch.int64))
        self.register_buffer("corrected", torch.zeros(num_images, num_labels, dtype=torch.bool))
        self._rows: dict[int, int] | None = None

    def rows(self, keys: Tensor) -> Tensor:
        """(B,) the rows of images, new ones for those that come for the first time.

        Raises:
            ValueError: more images than were counted.
        """
        if self._rows is None:  # after a checkpoint was read, perhaps
            self._rows = {key: row for row, key in enumerate(self.keys.tolist()) if key}
        for key in keys.tolist():
            if key not in self._rows:
                if len(self._rows) == len(self.keys):
                    raise ValueError(f"There are more images than the {len(self.keys)} whose labels were counted.")
                self.keys[len(self._rows)] = key
                self._rows[key] = len(self._rows)
        return torch.tensor([self._rows[key] for key in keys.tolist()], device=self.keys.device)


def as_keys(image_ids: Sequence[str], device: torch.device) -> Tensor:
    """(B,) int64, a hash of each id, never 0."""
    digests = (hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest() for name in image_ids)
    return torch.tensor([int.from_bytes(d, "big", signed=True) or 1 for d in digests], device=device)


class PermanentCorrection(Objective):
    """LL-Cp, cross-entropy summed over all known cells. Couples images: the largest losses are those of all processes.

    Args:
        largest_share: the share of a batch's cells that is corrected, the same in every step.
        start: the share of the run before the first correction (an epoch in the paper).
        unlisted: which targets nobody listed, 0 or -1 (`losses.unlisted.split_cells`).

    Source:
        Large Loss Matters in Weakly Supervised Multi-Label Classification (Kim et al., CVPR 2022), LL-Cp.
    """

    name = "ll_cp"
    couples_images = True
    counts_labels = True

    def __init__(self, largest_share: float = 0.001, start: float = 0.1, unlisted: int = 0) -> None:
        super().__init__()
        self.largest_share = largest_share
        self.start = start
        self.unlisted = unlisted
        self.memory: Any = None

    def count_labels(self, counts: Tensor, num_images: int) -> None:
        self.memory = CorrectedCells(num_images, len(counts))

    def forward(self, batch: MethodBatch) -> Tensor:
        if self.memory is None:
            raise ValueError("The loss ll_cp follows the labels of the training set: call count_labels first.")
        if batch.image_id is None:
            raise ValueError("The loss ll_cp remembers images by their ids: every example needs an `image_id`.")
        logits, labels = gather_rows(batch.student.logits), gather_rows(batch.labels)
        rows = self.memory.rows(gather_rows(as_keys(batch.image_id, labels.device)))
        cells = split_cells(labels, logits, self.unlisted)
        corrected = self.memory.corrected[rows] & cells.unlisted
        if batch.progress >= self.start:
            left = cells._replace(unlisted=cells.unlisted & ~corrected)
            found = large_cells(logits, left, self.largest_share)
            images, columns = found.nonzero(as_tuple=True)
            self.memory.corrected[rows[images], columns] = True
            corrected = corrected | found
        targets = torch.where(cells.positive | corrected, 1.0, torch.where(cells.known, 0.0, -1.0))
        return losses.binary_cross_entropy(logits, targets, reduction="sum")
