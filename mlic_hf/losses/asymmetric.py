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

    With q = min(1 - p + clip, 1): -(y log max(p, eps) + (1 - y) log max(q, eps)) * (1 - pt)^g, where
    pt = p y + q (1 - y) and g = gamma_pos y + gamma_neg (1 - y).

    Args:
        logits: (B, C).
        targets: (B, C) in {0, 1, -1}; -1 takes no part.
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
    loss = -(positive * log_p + (1 - positive) * log_q)
    if gamma_neg > 0 or gamma_pos > 0:
        loss = loss * _focus(positive, p, q, gamma_pos, gamma_neg, detach=disable_grad_focal)
    return reduce_cells(loss, known, reduction)


def _focus(positive: Tensor, p: Tensor, q: Tensor, gamma_pos: float, gamma_neg: float, *, detach: bool) -> Tensor:
    """(1 - pt)^g; its base is kept off 0, where a power below 1 has an infinite slope."""
    if detach:
        p, q = p.detach(), q.detach()
    missing = (1 - (p * positive + q * (1 - positive))).clamp(min=torch.finfo(p.dtype).tiny)
    return missing ** (gamma_pos * positive + gamma_neg * (1 - positive))
