"""Multi-label logit distillation (MLD): each label is a two-way distribution to be matched."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import full_precision
from .reduction import known_cells, reduce_cells

# sigmoids clamped to [1e-8, 1 - 1e-8] are logits clamped to this; 1 - 1e-8 itself does not exist in float32
LARGEST_LOGIT = math.log((1 - 1e-8) / 1e-8)


@full_precision
def multi_label_logit_distillation(
    student: Tensor,
    teacher: Tensor,
    targets: Tensor | None = None,
    reduction: str = "sum",
) -> Tensor:
    """Binary KL(teacher || student) of every cell, sigmoids clamped to [1e-8, 1 - 1e-8].

    Args:
        student: (B, C) logits.
        teacher: (B, C) logits; no gradient flows.
        targets: (B, C) whose -1 cells take no part; None uses every cell.
        reduction: "sum", "batchmean" (by images; L2D's default, "sum" divided by B) or "mean" (by known
            cells).

    Returns:
        A scalar.

    Raises:
        ValueError: for another reduction or unlike shapes.

    Source:
        Multi-Label Knowledge Distillation (Yang et al., ICCV 2023), equation of L_MLD.
    """
    if student.shape != teacher.shape:
        raise ValueError(f"student logits {tuple(student.shape)} and teacher logits {tuple(teacher.shape)} differ.")
    known = known_cells(targets, student)
    return reduce_cells(binary_divergence(student, teacher.detach()), known, reduction)


def binary_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL between Bernoullis given by their logits, elementwise: p_t (t - s) + softplus(s) - softplus(t)."""
    student = student.clamp(-LARGEST_LOGIT, LARGEST_LOGIT)
    teacher = teacher.clamp(-LARGEST_LOGIT, LARGEST_LOGIT)
    return torch.sigmoid(teacher) * (teacher - student) + F.softplus(student) - F.softplus(teacher)
