"""Distribution-balanced loss (DB): weights for labels that come together, and negatives that forgive."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import full_precision
from .reduction import hard_cells, reduce_cells

NO_POSITIVE = 1e3  # the ratio of an image without positives, infinite in the equation


@full_precision
def distribution_balanced(
    logits: Tensor,
    targets: Tensor,
    counts: Tensor,
    num_images: int,
    alpha: float = 0.1,
    beta: float = 10.0,
    mu: float = 0.3,
    kappa: float = 0.05,
    neg_scale: float = 2.0,
    gamma: float = 2.0,
    reduction: str = "mean",
) -> Tensor:
    """Focal cross-entropy at shifted logits, negatives at a steeper scale, each cell with a weight of its own.

    With n the images that have a label and N all of them: the weight of a cell is alpha + sigmoid(beta (r - mu)),
    r = (1/n) / (sum over the image's positives of 1/n), small where the image is drawn for other, rarer labels.
    z' = z + kappa log(n / (N - n)); a positive costs (1 - p')^gamma softplus(-z'), a negative p''^gamma
    softplus(neg_scale z') / neg_scale with p' = sigmoid(z'), p'' = sigmoid(neg_scale z').

    Args:
        logits: (B, C).
        targets: (B, C) in {0, 1, -1}; -1 takes no part.
        counts: (C,) training images with each label; 0 counts as 1, N as N - 1.
        num_images: N.
        alpha, beta, mu: lift, steepness and middle of the weight; the paper's mu is 0.3 (VOC) and 0.2 (COCO).
        kappa: scale of the shift.
        neg_scale: lambda, the scale of the negatives' logits.
        gamma: focus; 0 is the paper's loss without focal part.
        reduction: "mean" (by known cells, the paper's own), "batchmean" (by images) or "sum".

    Returns:
        A scalar. An image without positives weighs all its labels alpha + 1, as the published code does.

    Raises:
        ValueError: for another reduction, counts of other labels, unlike shapes or soft targets.

    Source:
        Distribution-Balanced Loss for Multi-Label Classification in Long-Tailed Datasets (Wu et al., ECCV 2020),
        re-balanced weighting and negative-tolerant regularisation. Differs: the published code's constant factor 2
        is left out.
    """
    if counts.shape != logits.shape[1:]:
        raise ValueError(f"counts have shape {tuple(counts.shape)}; expected one a label, {tuple(logits.shape[1:])}.")
    known = hard_cells(targets, logits)
    positive = targets > 0
    counts = counts.to(logits).clamp(1, max(1, num_images - 1))
    inverse = 1 / counts
    drawn = (positive * inverse).sum(dim=1, keepdim=True)
    ratio = torch.where(drawn > 0, inverse / drawn, NO_POSITIVE)
    weights = alpha + torch.sigmoid(beta * (ratio - mu))
    shifted = logits + kappa * (counts / (num_images - counts).clamp(min=1)).log()
    steep = neg_scale * shifted
    present = -(gamma * F.logsigmoid(-shifted)).exp() * F.logsigmoid(shifted)
    absent = -(gamma * F.logsigmoid(steep)).exp() * F.logsigmoid(-steep) / neg_scale
    return reduce_cells(weights * torch.where(positive, present, absent), known, reduction)
