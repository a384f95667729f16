"""Partial softmax distillation (PSM): every positive against all the image's negatives."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import full_precision
from .reduction import hard_cells, reduce_cells


@full_precision
def partial_softmax_distillation(
    student: Tensor, teacher: Tensor, targets: Tensor, reduction: str = "batchmean"
) -> Tensor:
    """KL(teacher || student) of the softmax over {one positive, all negatives}, for each positive.

    The softmaxes of one image share their negatives, so nothing of size positives x labels is built: by the
    chain rule each divergence is that of "the positive or any negative" (two-way, from the positive's logit
    minus the negatives' log-sum-exp) plus the probability of "any negative" times the negatives' own
    divergence.

    Args:
        student: (B, C) logits.
        teacher: (B, C) logits; no gradient flows.
        targets: (B, C) in {0, 1, -1}; a -1 is neither positive nor negative.
        reduction: "batchmean" (L2D's own: the sum by the images with a known label) or "sum".

    Returns:
        A scalar; an image without positives or without negatives adds 0.

    Raises:
        ValueError: for another reduction, unlike shapes or soft targets.

    Source:
        Multi-Label Knowledge Distillation (Yang et al., ICCV 2023), the partial softmax baseline.
    """
    if reduction not in ("sum", "batchmean"):
        raise ValueError(f'reduction is "{reduction}"; expected "sum" or "batchmean".')
    known = hard_cells(targets, student)
    teacher = teacher.detach()
    positive, negative = targets > 0, targets == 0
    log_s, rest_s = _negatives(student, negative)
    log_t, rest_t = _negatives(teacher, negative)
    among_negatives = torch.where(negative, log_t.exp() * (log_t - log_s), torch.zeros_like(log_t)).sum(dim=1)
    margin_s, margin_t = student - rest_s, teacher - rest_t
    p = torch.sigmoid(margin_t)
    two_way = p * (margin_t - margin_s) + F.softplus(margin_s) - F.softplus(margin_t)
    cells = two_way + torch.sigmoid(-margin_t) * among_negatives[:, None]
    cells = torch.where(positive & negative.any(dim=1, keepdim=True), cells, torch.zeros_like(cells))
    return reduce_cells(cells, known, reduction)


def _negatives(logits: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """Log-softmax over the negatives (0 elsewhere) and their log-sum-exp (B, 1) (0 where there is none)."""
    lowest = torch.finfo(logits.dtype).min
    total = logits.masked_fill(~negative, lowest).logsumexp(dim=1, keepdim=True)
    total = torch.where(negative.any(dim=1, keepdim=True), total, torch.zeros_like(total))
    return torch.where(negative, logits - total, torch.zeros_like(logits)), total
