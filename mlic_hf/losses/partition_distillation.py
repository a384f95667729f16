"""PSD's distillation from the teachers of one partition, their logits put back in label order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import full_precision
from .reduction import known_cells, reduce_cells


@full_precision
def partition_distillation_mse(
    student: Tensor, teacher: Tensor, reduction: str = "sum", targets: Tensor | None = None
) -> Tensor:
    """Squared error between logits.

    Args:
        student: (B, C) logits.
        teacher: (B, C) logits in label order; no gradient flows.
        reduction: "sum" (PSD's own), "batchmean" or "mean".
        targets: (B, C) whose -1 cells take no part; None uses every cell.

    Returns:
        A scalar.

    Raises:
        ValueError: for another reduction or unlike shapes.

    Source:
        Complementary Parallel Self-Distillation (PSD), the student's objective with squared error.
    """
    known = known_cells(targets, student)
    return reduce_cells((student - teacher.detach()) ** 2, known, reduction)


@full_precision
def partition_distillation_kl(
    student: Tensor,
    teacher: Tensor,
    temperature: float = 4.0,
    reduction: str = "sum",
    targets: Tensor | None = None,
) -> Tensor:
    """KL(teacher || student) of the softmax over labels at a temperature, times the temperature squared.

    Args:
        student: (B, C) logits.
        teacher: (B, C) logits in label order; no gradient flows.
        temperature: divides the logits before the softmax.
        reduction: "sum" (PSD's own, over the batch), "batchmean" (by images) or "mean" (by known cells).
        targets: (B, C) whose -1 cells leave both softmaxes; None uses every cell.

    Returns:
        A scalar.

    Raises:
        ValueError: for another reduction, unlike shapes or a temperature that is not positive.

    Source:
        Complementary Parallel Self-Distillation (PSD), the student's objective with KL divergence.
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; it must be positive.")
    known = known_cells(targets, student)
    lowest = torch.finfo(student.dtype).min
    log_s = F.log_softmax((student / temperature).masked_fill(~known, lowest), dim=1)
    log_t = F.log_softmax((teacher.detach() / temperature).masked_fill(~known, lowest), dim=1)
    # unknown cells carry huge log-probabilities: their difference is taken out before it is weighted
    difference = torch.where(known, log_t - log_s, torch.zeros_like(log_s))
    return reduce_cells(log_t.exp() * difference, known, reduction) * temperature**2


def scatter_parts(part_logits: Sequence[Tensor], parts: Sequence[Sequence[int]], num_labels: int) -> Tensor:
    """One (B, C) matrix in label order from the logits of a partition's teachers.

    Args:
        part_logits: for each part (B, labels of the part).
        parts: for each part its label numbers, in the order of its logits.
        num_labels: C.

    Returns:
        (B, C).

    Raises:
        ValueError: when the parts are not a partition of the labels or a width does not fit its part.
    """
    order = [label for part in parts for label in part]
    if sorted(order) != list(range(num_labels)):
        raise ValueError(
            f"the parts name {len(order)} labels ({len(set(order))} distinct); a partition names each of the "
            f"{num_labels} labels 0..{num_labels - 1} exactly once."
        )
    widths, sizes = [logits.shape[1] for logits in part_logits], [len(part) for part in parts]
    if widths != sizes:
        raise ValueError(f"the teachers give {widths} logits but their parts hold {sizes} labels.")
    place = torch.tensor(order, device=part_logits[0].device).argsort()
    return torch.cat(list(part_logits), dim=1)[:, place]
