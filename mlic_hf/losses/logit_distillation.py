"""Multi-label logit distillation (MLD), one-sided and symmetric: each label is a two-way distribution."""

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
    temperature: float = 1.0,
) -> Tensor:
    """T^2 times the binary KL(teacher || student) of every cell at temperature T, sigmoids in [1e-8, 1 - 1e-8].

    Args:
        student: (B, C) logits.
        teacher: (B, C) logits; no gradient flows.
        targets: (B, C) whose -1 cells take no part; None uses every cell.
        reduction: "sum", "batchmean" (by images; L2D's default, "sum" divided by B) or "mean" (by known
            cells).
        temperature: T, divides both logits; the factor T^2 keeps the size of the gradient. L2D's own is 1.

    Returns:
        A scalar.

    Raises:
        ValueError: for another reduction, unlike shapes or a temperature that is not positive.

    Source:
        Multi-Label Knowledge Distillation (Yang et al., ICCV 2023), equation of L_MLD.
    """
    student, teacher, known = _softened(student, teacher, targets, temperature)
    return reduce_cells(binary_divergence(student, teacher), known, reduction) * temperature**2


@full_precision
def symmetric_logit_distillation(
    student: Tensor,
    teacher: Tensor,
    targets: Tensor | None = None,
    reduction: str = "sum",
    temperature: float = 1.0,
) -> Tensor:
    """T^2 times the mean of both directions' binary KL: (p_t - p_s) (t - s) / 2, elementwise.

    One-sided, a student that is sure where its teacher is not pays most; here both mistakes cost the same, and the
    gradient does not vanish where the student's own probability saturates.

    Args:
        student, teacher, targets, reduction, temperature: as in `multi_label_logit_distillation`.

    Returns:
        A scalar.

    Raises:
        ValueError: for another reduction, unlike shapes or a temperature that is not positive.

    Source:
        Jeffreys, An Invariant Form for the Prior Probability (1946), halved; of the Bernoullis that L2D compares.
    """
    student, teacher, known = _softened(student, teacher, targets, temperature)
    student, teacher = (logits.clamp(-LARGEST_LOGIT, LARGEST_LOGIT) for logits in (student, teacher))
    cells = 0.5 * (torch.sigmoid(teacher) - torch.sigmoid(student)) * (teacher - student)
    return reduce_cells(cells, known, reduction) * temperature**2


def _softened(
    student: Tensor, teacher: Tensor, targets: Tensor | None, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Both logits divided by the temperature, and the cells that take part."""
    if student.shape != teacher.shape:
        raise ValueError(f"student logits {tuple(student.shape)} and teacher logits {tuple(teacher.shape)} differ.")
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; it must be positive.")
    return student / temperature, teacher.detach() / temperature, known_cells(targets, student)


def binary_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL between Bernoullis given by their logits, elementwise: p_t (t - s) + softplus(s) - softplus(t)."""
    student = student.clamp(-LARGEST_LOGIT, LARGEST_LOGIT)
    teacher = teacher.clamp(-LARGEST_LOGIT, LARGEST_LOGIT)
    return torch.sigmoid(teacher) * (teacher - student) + F.softplus(student) - F.softplus(teacher)
