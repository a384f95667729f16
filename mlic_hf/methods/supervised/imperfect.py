"""Classification losses for labels that are missing or rare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from mlic_hf import losses
from mlic_hf.losses.gather import gather_rows
from mlic_hf.methods.base import MethodBatch, Objective, known_images

Loss = Callable[..., Tensor]


class SumOfCells(Objective):
    """A loss of each image alone, summed over the batch.

    Args:
        name: its key.
        loss: (logits, labels, reduction, settings) -> scalar.
        **settings: of the loss.
    """

    def __init__(self, name: str, loss: Loss, **settings: Any) -> None:
        super().__init__()
        self.name = name
        self.loss = loss
        self.settings = settings

    def forward(self, batch: MethodBatch) -> Tensor:
        return self.loss(batch.student.logits, batch.labels, reduction="sum", **self.settings)


class DistributionBalanced(Objective):
    """The distribution-balanced loss summed over all known cells.

    Args:
        **settings: of `losses.distribution_balanced`.
    """

    name = "db"
    counts_labels = True
    counts: Tensor | None

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.register_buffer("counts", None, persistent=False)
        self.num_images = 0
        self.settings = settings

    def count_labels(self, counts: Tensor, num_images: int) -> None:
        self.counts, self.num_images = counts.float(), num_images

    def forward(self, batch: MethodBatch) -> Tensor:
        if self.counts is None:
            raise ValueError("The loss db follows the labels of the training set: call count_labels first.")
        return losses.distribution_balanced(
            batch.student.logits, batch.labels, self.counts, self.num_images, reduction="sum", **self.settings
        )


class SelfPacedCorrection(Objective):
    """SPLC, summed over all known cells; nothing is corrected before the network has learned a little.

    Args:
        start: the share of the run before the first correction (an epoch in the paper).
        threshold: the probability above which an unlisted cell counts as positive.
        **settings: of `losses.self_paced_correction`.
    """

    name = "splc"

    def __init__(self, start: float = 0.1, threshold: float = 0.6, **settings: Any) -> None:
        super().__init__()
        self.start = start
        self.threshold = threshold
        self.settings = settings

    def forward(self, batch: MethodBatch) -> Tensor:
        threshold = self.threshold if batch.progress >= self.start else 1.0
        return losses.self_paced_correction(
            batch.student.logits, batch.labels, threshold, reduction="sum", **self.settings
        )


class LargeLoss(Objective):
    """LL-R or LL-Ct, summed over all known cells. Couples images: the largest losses are those of all processes.

    Args:
        name: its key.
        loss: `losses.large_loss_rejection` or `losses.large_loss_correction`.
        largest_share: the share of the cells that is large at the end of the run; it rises from 0, as in the paper,
            where it grows by 0.1 to 0.6 % an epoch for ten epochs.
        **settings: of the loss.
    """

    couples_images = True

    def __init__(self, name: str, loss: Loss, largest_share: float = 0.02, **settings: Any) -> None:
        super().__init__()
        self.name = name
        self.loss = loss
        self.largest_share = largest_share
        self.settings = settings

    def forward(self, batch: MethodBatch) -> Tensor:
        logits, labels = gather_rows(batch.student.logits), gather_rows(batch.labels)
        return self.loss(logits, labels, self.largest_share * batch.progress, reduction="sum", **self.settings)


class MeanOfBatch(Objective):
    """A loss whose paper's value is a mean of the whole batch (EPR, two-way). Couples images.

    Its sum is the value times the images, so that micro-batches of unequal size weigh as they should.

    Args:
        name: its key.
        loss: (logits, labels, reduction, settings) -> scalar.
        **settings: of the loss.
    """

    couples_images = True

    def __init__(self, name: str, loss: Loss, **settings: Any) -> None:
        super().__init__()
        self.name = name
        self.loss = loss
        self.settings = settings

    def count(self, labels: Tensor) -> Tensor | None:
        return known_images(labels)

    def forward(self, batch: MethodBatch) -> Tensor:
        return self.loss(
            gather_rows(batch.student.logits), gather_rows(batch.labels), reduction="sum", **self.settings
        )
