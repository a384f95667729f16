"""ReviewKD: the loss between fused student maps and teacher maps, compared at several pooled sizes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import full_precision
from .reduction import reduce_images

LEVELS = (4, 2, 1)


@full_precision
def review_distillation(
    student_maps: Sequence[Tensor],
    teacher_maps: Sequence[Tensor],
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Hierarchical context loss, added over the stages.

    A stage compares the maps at full size with weight 1, then both maps pooled to l x l for l in 4, 2, 1
    below the map's height, each with half the weight of the one before; the sum is divided by the weights
    used.

    Args:
        student_maps: per stage (B, D, h, w), or (B, D) for a pooled vector; fused maps (see `ReviewFusion`).
        teacher_maps: per stage the same shape; no gradient flows.
        mask: (B,) bool, the images that take part; None takes all.
        reduction: "mean" over images (the paper's own) or "sum" of the per-image means.

    Returns:
        A scalar.

    Raises:
        ValueError: when the stages do not match in number or shape.

    Source:
        Distilling Knowledge via Knowledge Review (Chen et al., CVPR 2021), section 3.3.
    """
    if len(student_maps) != len(teacher_maps):
        raise ValueError(f"{len(student_maps)} student stages against {len(teacher_maps)} teacher stages.")
    images = torch.stack([_stage(s, t) for s, t in zip(student_maps, teacher_maps)]).sum(dim=0)
    counted = torch.ones_like(images, dtype=torch.bool) if mask is None else mask.bool()
    return reduce_images(images, counted, reduction)


def _stage(student: Tensor, teacher: Tensor) -> Tensor:
    """(B,) losses of one stage."""
    if student.shape != teacher.shape:
        raise ValueError(f"a student stage is {tuple(student.shape)} but the teacher's is {tuple(teacher.shape)}.")
    teacher = teacher.detach()
    if student.dim() == 2:
        student, teacher = student[:, :, None, None], teacher[:, :, None, None]
    difference = student - teacher
    loss = (difference**2).mean(dim=(1, 2, 3))
    weight, total = 1.0, 1.0
    for level in LEVELS:
        if level < student.shape[2]:
            weight /= 2
            total += weight
            # pooling is linear: the difference of pooled maps is the pooled difference
            loss = loss + weight * (F.adaptive_avg_pool2d(difference, level) ** 2).mean(dim=(1, 2, 3))
    return loss / total
