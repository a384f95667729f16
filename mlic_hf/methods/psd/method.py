"""PSD's student: the labels' asymmetric loss and a divergence to the teachers of each partition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from mlic_hf import losses
from mlic_hf.methods.base import MethodBatch, Objective, Weighted
from mlic_hf.methods.psd.config import PSDConfig
from mlic_hf.methods.supervised import AsymmetricLoss
from mlic_hf.modeling import MultiLabelModel


class PartitionDivergence(Objective):
    """D(z, t) for the teachers of one partition, whose logits lie in the label order; the sum over known cells.

    Args:
        kind: the partition, a key of the teachers' outputs.
        divergence: "mse" (squared error), "kl" (softmax over labels) or "binary_kl" (each label's own KL).
        temperature: of the two KLs.
        mean: divide by the known cells of the batch; the paper does not.
    """

    needs_teacher = True
    takes_soft_labels = True
    hears_unlabelled = True

    def __init__(self, kind: str, divergence: str = "mse", temperature: float = 4.0, mean: bool = False) -> None:
        super().__init__()
        self.name = kind
        self.mean = mean
        offered: dict[str, Callable[..., Tensor]] = {
            "mse": losses.partition_distillation_mse,
            "kl": partial(losses.partition_distillation_kl, temperature=temperature),
            "binary_kl": partial(losses.multi_label_logit_distillation, temperature=temperature),
        }
        self.loss = offered[divergence]

    def count(self, labels: Tensor) -> Tensor | None:
        return (labels >= 0).sum() if self.mean else None

    def forward(self, batch: MethodBatch) -> Tensor:
        return self.loss(batch.student.logits, batch.teacher[self.name], targets=batch.labels, reduction="sum")


def psd_objectives(config: PSDConfig, student: MultiLabelModel, teacher: Any = None) -> Sequence[Weighted]:
    """0.5 ASL + 0.5 a D(z, t_cgp) + (0.5 - 0.5 a) D(z, t_dgp) with the default settings; sums over the batch."""
    offered = getattr(teacher, "kinds", config.kinds)
    if lacking := [kind for kind in config.kinds if kind not in offered]:
        raise ValueError(
            f"psd.kinds names {lacking[0]}, but the teacher answers for {', '.join(offered) or 'all labels'}: "
            "give the folder of the parts' teachers, or a cache of their answers."
        )
    shares = [config.alpha, 1.0 - config.alpha] if len(config.kinds) == 2 else [1.0]
    hard = AsymmetricLoss(config.gamma_neg, config.gamma_pos, config.clip)
    mean = config.divergence_reduction == "mean"
    return [
        Weighted(hard, config.weight_hard),
        *(
            Weighted(
                PartitionDivergence(kind, config.divergence, config.temperature, mean),
                (1.0 - config.weight_hard) * share,
                per_image=not mean,
            )
            for kind, share in zip(config.kinds, shares)
        ),
    ]
