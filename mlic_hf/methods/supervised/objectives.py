"""The classification losses that the five papers use."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mlic_hf import losses
from mlic_hf.data import class_weights
from mlic_hf.methods.base import MethodBatch, Objective


class BinaryCrossEntropy(Objective):
    """L2D's hard loss: binary cross-entropy summed over all known cells.

    Args:
        rule: of `class_weights`; None for no weights. "balanced" weighs positives, the others labels.
    """

    name = "bce"
    takes_soft_labels = True
    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(self, rule: str | None = None) -> None:
        super().__init__()
        self.rule = rule
        self.counts_labels = rule is not None
        self.register_buffer("weight", None, persistent=False)
        self.register_buffer("pos_weight", None, persistent=False)

    def count_labels(self, counts: Tensor, num_images: int) -> None:
        if self.rule is not None:
            weights = class_weights(counts.cpu().numpy(), num_images, self.rule)
            setattr(self, "pos_weight" if self.rule == "balanced" else "weight", weights)

    def forward(self, batch: MethodBatch) -> Tensor:
        if self.rule is not None and self.weight is None and self.pos_weight is None:
            raise ValueError("Class weights follow the labels of the training set: call count_labels first.")
        return losses.binary_cross_entropy(
            batch.student.logits, batch.labels, reduction="sum", weight=self.weight, pos_weight=self.pos_weight
        )


class AsymmetricLoss(Objective):
    """PSD's classification loss: the asymmetric loss summed over all known cells."""

    name = "asl"
    takes_soft_labels = True

    def __init__(self, gamma_neg: float = 4.0, gamma_pos: float = 0.0, clip: float = 0.05, eps: float = 1e-8) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {"gamma_neg": gamma_neg, "gamma_pos": gamma_pos, "clip": clip, "eps": eps}

    def forward(self, batch: MethodBatch) -> Tensor:
        return losses.asymmetric_loss(batch.student.logits, batch.labels, **self.settings, reduction="sum")


class FocalLoss(Objective):
    """Focal loss summed over all known cells; settings as those of `losses.focal`."""

    name = "focal"
    takes_soft_labels = True

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, batch: MethodBatch) -> Tensor:
        return losses.focal(batch.student.logits, batch.labels, reduction="sum", **self.settings)


class SoftMargin(Objective):
    """Multi-label soft margin: the mean over labels, averaged over images (OASS's classification loss)."""

    name = "soft_margin"
    takes_soft_labels = True

    def count(self, labels: Tensor) -> Tensor | None:
        return (labels >= 0).any(dim=1).sum()

    def forward(self, batch: MethodBatch) -> Tensor:
        return losses.soft_margin(batch.student.logits, batch.labels, reduction="sum")
