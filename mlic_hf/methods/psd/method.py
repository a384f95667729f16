"""PSD's student: the labels' asymmetric loss and a divergence to the teachers of each partition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mlic_hf import losses
from mlic_hf.methods.base import MethodBatch, Objective, Weighted
from mlic_hf.methods.psd.config import PSDConfig
from mlic_hf.methods.supervised import AsymmetricLoss
from mlic_hf.modeling import MultiLabelModel


class PartitionDivergence(Objective):
    """D(z, t) for the teachers of one partition, whose logits lie in the label order; the paper's sum.

    Args:
        kind: the partition, a key of the teachers' outputs.
        divergence: "mse" (squared error over all cells) or "kl" (softmax over labels).
        temperature: of the softmax.
    """

    needs_teacher = True

    def __init__(self, kind: str, divergence: str = "mse", temperature: float = 4.0) -> None:
        super().__init__()
        self.name = kind
        self.divergence = divergence
        self.temperature = temperature

    def forward(self, batch: MethodBatch) -> Tensor:
        student, teacher = batch.student.logits, batch.teacher[self.name]
        if self.divergence == "mse":
            return losses.partition_distillation_mse(student, teacher, reduction="sum", targets=batch.labels)
        return losses.partition_distillation_kl(
            student, teacher, self.temperature, reduction="sum", targets=batch.labels
        )


def psd_objectives(config: PSDConfig, student: MultiLabelModel, teacher: Any = None) -> Sequence[Weighted]:
    """0.5 ASL + 0.5 a D(z, t_cgp) + (0.5 - 0.5 a) D(z, t_dgp) with the default settings; sums over the batch."""
    shares = [config.alpha, 1.0 - config.alpha] if len(config.kinds) == 2 else [1.0]
    hard = AsymmetricLoss(config.gamma_neg, config.gamma_pos, config.clip)
    return [
        Weighted(hard, config.weight_hard),
        *(
            Weighted(
                PartitionDivergence(kind, config.divergence, config.temperature),
                (1.0 - config.weight_hard) * share,
            )
            for kind, share in zip(config.kinds, shares)
        ),
    ]
