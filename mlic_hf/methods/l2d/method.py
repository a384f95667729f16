"""L2D's objectives: the hard loss, logit, label-wise embedding and feature distillation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from mlic_hf import losses
from mlic_hf.losses.gather import gather_rows
from mlic_hf.methods.base import MethodBatch, Objective, Weighted, known_images
from mlic_hf.methods.l2d.config import L2DConfig
from mlic_hf.methods.once_per_batch import OncePerBatch
from mlic_hf.methods.supervised import BinaryCrossEntropy
from mlic_hf.modeling import MultiLabelModel

Embeddings = OncePerBatch[tuple[Tensor, Tensor]]


def both_embedding_losses(batch: MethodBatch) -> tuple[Tensor, Tensor]:
    """CD and ID, which share their rows and their gradient."""
    return losses.label_embedding_distillation(
        batch.student.label_embeddings, batch.teacher.label_embeddings, batch.labels, gather=True
    )


class ClassAware(Objective):
    """CD: for each label, the geometry of its positive images' embeddings. Couples images.

    Args:
        both: gives (CD, ID) where the other is wanted as well.
    """

    name = "class_aware"
    needs = frozenset({"label_embeddings"})
    couples_images = True
    needs_teacher = True

    def __init__(self, both: Embeddings | None = None) -> None:
        super().__init__()
        self.both = both

    def forward(self, batch: MethodBatch) -> Tensor:
        if self.both is not None:
            return self.both(batch)[0]
        return losses.class_aware_distillation(
            batch.student.label_embeddings, batch.teacher.label_embeddings, batch.labels, gather=True
        )


class InstanceAware(Objective):
    """ID: for each image, the geometry of its positive labels' embeddings.

    Args:
        both: gives (CD, ID) where the other is wanted as well.
    """

    name = "instance_aware"
    needs = frozenset({"label_embeddings"})
    needs_teacher = True

    def __init__(self, both: Embeddings | None = None) -> None:
        super().__init__()
        self.both = both

    def forward(self, batch: MethodBatch) -> Tensor:
        if self.both is not None:
            return self.both(batch)[1]
        return losses.instance_aware_distillation(
            batch.student.label_embeddings, batch.teacher.label_embeddings, batch.labels
        )


class LogitLoss(Objective):
    """A loss between the two models' logits over the cells that the teacher answers: batch mean as published, or sum.

    Args:
        reduction: "batchmean" divides by the images of the batch once more than the hard loss is divided, as
            published; "sum" does not, so that the weight is a share of a cell.
        name: its key in the log.
        unknown: whether the teacher also answers the unknown cells of an image.
        loss: (student, teacher, targets, reduction, settings) -> scalar.
        **settings: further arguments of the loss.
    """

    needs_teacher = True

    def __init__(
        self, reduction: str, name: str, loss: Callable[..., Tensor], unknown: bool = False, **settings: Any
    ) -> None:
        super().__init__()
        self.unknown = unknown
        self.reduction = reduction
        self.name = name
        self.loss = loss
        self.settings = settings
        # PSM tells positives from negatives; the others only ask which cells take part
        self.takes_soft_labels = self.hears_unlabelled = loss is not losses.partial_softmax_distillation

    def count(self, labels: Tensor) -> Tensor | None:
        return known_images(labels) if self.reduction == "batchmean" else None

    def forward(self, batch: MethodBatch) -> Tensor:
        cells = batch.taught_labels(self.unknown)
        return self.loss(batch.student.logits, batch.teacher.logits, cells, reduction="sum", **self.settings)


class ClassMaps(Objective):
    """The class-activation maps of every image's positive labels; the sum over the batch."""

    name = "class_maps"
    needs = frozenset({"class_maps"})
    needs_teacher = True

    def forward(self, batch: MethodBatch) -> Tensor:
        return losses.class_map_distillation(batch.student.class_maps, batch.teacher.class_maps, batch.labels)


class PooledFeatures(Objective):
    """A loss on the pooled features of the whole batch, whose paper's value is a mean. Couples images.

    Its sum is the value times the images, so that micro-batches of unequal size weigh as they should.
    """

    needs = frozenset({"feature_map"})
    couples_images = True
    needs_teacher = True
    takes_soft_labels = True
    hears_unlabelled = True

    def __init__(self, name: str, loss: Any) -> None:
        super().__init__()
        self.name = name
        self.loss = loss

    def count(self, labels: Tensor) -> Tensor | None:
        return known_images(labels)

    def forward(self, batch: MethodBatch) -> Tensor:
        student = gather_rows(batch.student.feature_map.mean(dim=(2, 3)))
        teacher = gather_rows(batch.teacher.feature_map.mean(dim=(2, 3)))
        labels = gather_rows(batch.labels)
        known = (labels >= 0).any(dim=1)
        return self.loss(student, teacher, mask=known) * known.sum()


class Review(Objective):
    """ReviewKD: the student's stages, fused from coarse to fine, against the teacher's.

    The fusion's 3x3 convolutions take the student's width to the teacher's; they train with the student.
    """

    name = "review"
    needs = frozenset({"stage_maps"})
    needs_teacher = True
    needs_pixels = True
    takes_soft_labels = True
    hears_unlabelled = True

    def __init__(self, student_channels: Sequence[int], teacher_channels: Sequence[int]) -> None:
        super().__init__()
        self.fusion = losses.ReviewFusion(list(student_channels), list(teacher_channels))

    def count(self, labels: Tensor) -> Tensor | None:
        return known_images(labels)

    def forward(self, batch: MethodBatch) -> Tensor:
        student, teacher = with_pooled(batch.student.stage_maps), with_pooled(batch.teacher.stage_maps)
        fused = self.fusion(student, [tuple(stage.shape[-2:]) for stage in teacher])
        known = (batch.labels >= 0).any(dim=1)
        return losses.review_distillation(fused, teacher, mask=known, reduction="sum")


def with_pooled(stage_maps: Sequence[Tensor]) -> list[Tensor]:
    """The stage maps and, as a last 1x1 map, the mean of the coarsest."""
    return [*stage_maps, stage_maps[-1].mean(dim=(2, 3), keepdim=True)]


def l2d_objectives(config: L2DConfig, student: MultiLabelModel, teacher: Any) -> Sequence[Weighted]:
    """Those of L2D's objectives whose weight is not zero.

    Raises:
        ValueError: if the label-embedding losses are on but a model has no embedding of each label, likewise for
            class-activation maps and features.
    """
    if getattr(teacher, "kinds", ()):
        raise ValueError("L2D's teacher is one model of all labels, but this one is PSD's parts or a cache of them.")
    pooled = (config.weight_pkt or config.weight_rkd) and "feature_map" not in teacher.provides  # a cache's
    if not teacher.stage_channels and (pooled or config.weight_review):
        raise ValueError(
            "L2D's losses on features need the teacher's feature maps, but this one gives none of them. Set "
            "weight_pkt, weight_rkd and weight_review to 0."
        )
    if config.weight_class_aware or config.weight_instance_aware:
        for model, what in ((student, "student"), (teacher, "teacher")):
            if "label_embeddings" not in model.provides:
                raise ValueError(
                    f"L2D's class-aware and instance-aware losses need one embedding a label, but the {what} "
                    f"({type(getattr(model, 'model', model)).__name__}) has none. Use an ML-Decoder with one group a "
                    "label, or set weight_class_aware and weight_instance_aware to 0."
                )
    if config.weight_class_maps:
        for model, what in ((student, "student"), (teacher, "teacher")):
            if "class_maps" not in model.provides:
                raise ValueError(
                    f"L2D's loss on class-activation maps needs them of both models, but the {what} "
                    f"({type(getattr(model, 'model', model)).__name__}) has none. Use the linear architecture, or set "
                    "weight_class_maps to 0."
                )
    logits = partial(LogitLoss, config.logit_reduction)
    softened: dict[str, Any] = {"temperature": config.temperature, "unknown": config.logit_cells == "all"}
    both = None
    if config.weight_class_aware and config.weight_instance_aware:
        both = OncePerBatch(both_embedding_losses)
    offered: list[tuple[float, Any]] = [
        (config.weight_hard, BinaryCrossEntropy),
        (config.weight_class_aware, lambda: ClassAware(both)),
        (config.weight_instance_aware, lambda: InstanceAware(both)),
        (config.weight_mld, lambda: logits("mld", losses.multi_label_logit_distillation, **softened)),
        (config.weight_symmetric, lambda: logits("symmetric", losses.symmetric_logit_distillation, **softened)),
        (config.weight_partial_softmax, lambda: logits("partial_softmax", losses.partial_softmax_distillation)),
        (config.weight_pkt, lambda: PooledFeatures("pkt", losses.probabilistic_knowledge_transfer)),
        (config.weight_rkd, lambda: PooledFeatures("rkd", losses.relational_distillation)),
        (config.weight_class_maps, ClassMaps),
        (config.weight_review, lambda: Review(*map(with_pooled_width, (student.backbone, teacher)))),
    ]
    return [Weighted(build(), weight) for weight, build in offered if weight]


def with_pooled_width(source: Any) -> list[int]:
    """The widths of the stage maps that a backbone or teacher gives, and of their pooled vector."""
    return [*source.stage_channels, source.stage_channels[-1]]
