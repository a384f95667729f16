"""Training on the labels alone, with any of the classification losses the five papers use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mlic_hf import losses
from mlic_hf.methods.base import MethodBatch, Objective, Weighted
from mlic_hf.methods.registry import MethodSpec
from mlic_hf.modeling import MultiLabelModel


@dataclass
class SupervisedConfig:
    """Settings of plain supervised training."""

    loss: str = field(default="bce", metadata={"help": "bce, asl (asymmetric), focal or soft_margin"})
    gamma_neg: float = field(default=4.0, metadata={"help": "asl: focus on negatives"})
    gamma_pos: float = field(default=0.0, metadata={"help": "asl: focus on positives"})
    clip: float = field(default=0.05, metadata={"help": "asl: probability margin for negatives"})


class BinaryCrossEntropy(Objective):
    """L2D's hard loss: binary cross-entropy summed over all known cells."""

    name = "bce"
    takes_soft_labels = True

    def forward(self, batch: MethodBatch) -> Tensor:
        return losses.binary_cross_entropy(batch.student.logits, batch.labels, reduction="sum")


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
    """Focal loss summed over all known cells."""

    name = "focal"
    takes_soft_labels = True

    def forward(self, batch: MethodBatch) -> Tensor:
        return losses.focal(batch.student.logits, batch.labels, reduction="sum")


class SoftMargin(Objective):
    """Multi-label soft margin: the mean over labels, averaged over images (OASS's classification loss)."""

    name = "soft_margin"
    takes_soft_labels = True

    def count(self, labels: Tensor) -> Tensor | None:
        return (labels >= 0).any(dim=1).sum()

    def forward(self, batch: MethodBatch) -> Tensor:
        return losses.soft_margin(batch.student.logits, batch.labels, reduction="sum")


def supervised_objectives(
    config: SupervisedConfig, student: MultiLabelModel, teacher: Any = None
) -> Sequence[Weighted]:
    """One classification loss; sums over the batch are divided by its images."""
    if config.loss == "bce":
        return [Weighted(BinaryCrossEntropy(), 1.0)]
    if config.loss == "asl":
        return [Weighted(AsymmetricLoss(config.gamma_neg, config.gamma_pos, config.clip), 1.0)]
    if config.loss == "focal":
        return [Weighted(FocalLoss(), 1.0)]
    if config.loss == "soft_margin":
        return [Weighted(SoftMargin(), 1.0, per_image=False)]
    raise ValueError(f"supervised.loss is {config.loss!r}; it is one of bce, asl, focal, soft_margin.")


METHOD = MethodSpec(
    key="supervised",
    title="Supervised training",
    config=SupervisedConfig,
    objectives=supervised_objectives,
)
