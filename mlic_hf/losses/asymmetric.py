"""Asymmetric loss (ASL): focus and probability shift that differ for positives and negatives."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import full_precision
from .reduction import known_cells, reduce_cells


@full_precision
def asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    gamma_neg: float = 4.0,
    gamma_pos: float = 0.0,
    clip: float = 0.05,
    eps: float = 1e-8,
    disable_grad_focal: bool = True,
    reduction: str = "sum",
) -> Tensor:
    """Cross-entropy whose easy cells are turned down, negatives more than positives.

    With q = min(1 - p + clip, 1): -(y (1 - p)^gamma_pos log max(p, eps) + (1 - y) (1 - q)^gamma_neg log max(q, eps)).

    Args:
        logits: (B, C).
        targets: (B, C) in {0, 1, -1}; a value y between 0 and 1 costs y times the positive's and 1 - y times the
            negative's loss, -1 takes no part.
        gamma_neg: focus of the negatives.
        gamma_pos: focus of the positives.
        clip: shift of the negatives' probability; a negative with p < clip costs nothing.
        eps: the least probability inside the logarithm.
        disable_grad_focal: no gradient through the focus factor (both papers train so).
        reduction: "sum" (PSD's own), "batchmean" (per-image sums averaged over images) or "mean" (by known
            cells; 1000 times it is CoCo's own).

    Returns:
        A scalar.

    Raises:
        ValueError: for another reduction, unlike shapes or a negative gamma or clip.

    Source:
        Asymmetric Loss For Multi-Label Classification (Ridnik et al., ICCV 2021), equations 4 to 7.
    """
    if min(gamma_neg, gamma_pos, clip) < 0:
        raise ValueError(f"gamma_neg {gamma_neg}, gamma_pos {gamma_pos} and clip {clip} must not be negative.")
    known = known_cells(targets, logits)
    positive = targets.clamp(min=0)
    p, q = torch.sigmoid(logits), torch.sigmoid(-logits)
    # log-sigmoids keep the digits that 1 - sigmoid loses; only the shifted q has to be taken as it is
    least = math.log(eps)
    log_p = F.logsigmoid(logits).clamp(min=least)
    if clip > 0:
        q = (q + clip).clamp(max=1)
        log_q = q.clamp(min=eps).log()
    else:
        log_q = F.logsigmoid(-logits).clamp(min=least)
    if disable_grad_focal:
        p, q = p.detach(), q.detach()
    cells = positive * _focused(log_p, p, gamma_pos) + (1 - positive) * _focused(log_q, q, gamma_neg)
    return reduce_cells(-cells, known, reduction)


def _focused(log_right: Tensor, right: Tensor, gamma: float) -> Tensor:
    """log pt (1 - pt)^gamma; the base is kept off 0, where a power below 1 has an infinite slope."""
    if gamma == 0:
        return log_right
    return log_right * (1 - right).clamp(min=torch.finfo(right.dtype).tiny) ** gamma
