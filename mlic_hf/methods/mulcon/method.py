"""MulCon's objectives: cross-entropy on label-level embeddings, and their supervised contrast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mlic_hf import losses
from mlic_hf.losses.gather import gather_rows
from mlic_hf.methods.base import MethodBatch, Objective, Weighted
from mlic_hf.methods.mulcon.config import MulConLossConfig
from mlic_hf.methods.mulcon.embedding_size import label_embedding_size
from mlic_hf.modeling.modeling_mulcon_mlic import Projector


class MeanBinaryCrossEntropy(Objective):
    """Binary cross-entropy, the mean over all known cells of the batch.

    Args:
        views: augmented views of an image; both count.
    """

    name = "bce"
    takes_soft_labels = True

    def __init__(self, views: int = 1) -> None:
        super().__init__()
        self.views = views

    def count(self, labels: Tensor) -> Tensor | None:
        return (labels >= 0).sum()

    def forward(self, batch: MethodBatch) -> Tensor:
        return losses.binary_cross_entropy(batch.student.logits, batch.labels, reduction="sum")


class LabelContrast(Objective):
    """SupCon over the projections of all positive (image, label) pairs; the sum is divided by their number.

    Couples images: with `gather` the pairs of all processes are rows of one contrast, with exact gradients. A
    pair without another pair of its label adds 0 and stays in the count.

    Args:
        temperature: divides the cosines.
        denominator_size: if there are fewer positive pairs, the highest-scored negative pairs join as rows of
            the denominator.
        gather: False contrasts each process's pairs among themselves.
        views: augmented views of an image; the second gives every pair at least one positive.
        projector: makes projections of label embeddings, for a model that gives none itself.
    """

    name = "contrast"
    needs = frozenset({"label_embeddings"})

    def __init__(
        self,
        temperature: float = 0.2,
        denominator_size: int = 0,
        gather: bool = True,
        views: int = 2,
        projector: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.denominator_size = denominator_size
        self.couples_images = gather
        self.views = views
        self.projector = projector

    def count(self, labels: Tensor) -> Tensor | None:
        return (labels > 0).sum()

    def forward(self, batch: MethodBatch) -> Tensor:
        if self.projector is None:
            projections = batch.student.projections
        else:
            projections = self.projector(batch.student.label_embeddings)
        logits, labels = batch.student.logits.detach(), batch.labels
        if self.couples_images:
            projections, logits, labels = (gather_rows(rows) for rows in (projections, logits, labels))
        return losses.label_contrastive(
            projections,
            labels,
            logits,
            temperature=self.temperature,
            denominator_size=self.denominator_size,
            reduction="sum",
        )


def mulcon_objectives(config: MulConLossConfig, student: Any, teacher: Any = None) -> Sequence[Weighted]:
    """Cross-entropy in stage one; in stage two the contrast as well.

    The model's projector is frozen where nothing trains it (stage one, or weight_contrast 0): stage two is to
    start with a fresh one, and several processes want a gradient for every parameter that can have one.

    Raises:
        ValueError: if stage two is asked of a model without label embeddings.
    """
    contrasted = config.stage == 2 and config.weight_contrast > 0
    own = getattr(student.head, "projector", None)
    if own is not None:
        own.requires_grad_(contrasted)
    found = [Weighted(MeanBinaryCrossEntropy(config.views if config.stage == 2 else 1), 1.0, per_image=False)]
    if contrasted:
        projector = None if own is not None else Projector(label_embedding_size(student), config.projection_size)
        contrast = LabelContrast(config.temperature, config.denominator_size, config.gather, config.views, projector)
        found.append(Weighted(contrast, config.weight_contrast, per_image=False))
    return found
