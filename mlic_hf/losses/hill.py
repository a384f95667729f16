"""Hill and self-paced correction (SPLC): losses of the negatives that forgive a probability that is high."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import full_precision
from .reduction import reduce_cells
from .unlisted import split_cells


@full_precision
def hill(
    logits: Tensor,
    targets: Tensor,
    peak: float = 1.5,
    margin: float = 1.0,
    gamma: float = 2.0,
    unlisted: int = 0,
    reduction: str = "sum",
) -> Tensor:
    """An unlisted cell costs (peak - p) p^2, whose slope falls again where p is high: a missing positive, probably.

    A positive has the focal loss with a margin, -(1 - p_m)^gamma log p_m with p_m = sigmoid(z - margin), a negative
    that is known -log(1 - p).

    Args:
        logits: (B, C).
        targets: (B, C) in {0, 1, -1}.
        peak: lambda; the slope over p is highest at p = lambda / 3.
        margin: m, of the positives' logits.
        gamma: focus of the positives.
        unlisted: which targets nobody listed, 0 or -1 (`split_cells`).
        reduction: "sum" (the paper's own), "batchmean" (by images) or "mean" (by the cells that count).

    Returns:
        A scalar.

    Raises:
        ValueError: for another reduction or `unlisted`, unlike shapes or soft targets.

    Source:
        Simple and Robust Loss Design for Multi-Label Learning with Missing Labels (Zhang et al., 2021), the Hill
        loss and the focal margin loss.
    """
    cells = split_cells(targets, logits, unlisted)
    p = torch.sigmoid(logits)
    loss = torch.where(cells.positive, focal_positive(logits - margin, gamma), (peak - p) * p**2)
    loss = torch.where(cells.negative, -F.logsigmoid(-logits), loss)
    return reduce_cells(loss, cells.known, reduction)


@full_precision
def self_paced_correction(
    logits: Tensor,
    targets: Tensor,
    threshold: float = 0.6,
    margin: float = 1.0,
    gamma: float = 2.0,
    unlisted: int = 0,
    reduction: str = "sum",
) -> Tensor:
    """SPLC: an unlisted cell of a probability above the threshold counts as positive, the others as negative.

    Positives have the focal loss, the listed ones with a margin as in `hill`; negatives have cross-entropy.

    Args:
        logits: (B, C).
        targets: (B, C) in {0, 1, -1}.
        threshold: tau; 1 corrects nothing, as in the paper's first epoch.
        margin: of the logits of the listed positives.
        gamma: focus of all positives.
        unlisted: which targets nobody listed, 0 or -1 (`split_cells`).
        reduction: "sum" (the paper's own), "batchmean" (by images) or "mean" (by the cells that count).

    Returns:
        A scalar.

    Raises:
        ValueError: for another reduction or `unlisted`, unlike shapes or soft targets.

    Source:
        Simple and Robust Loss Design for Multi-Label Learning with Missing Labels (Zhang et al., 2021), self-paced
        loss correction. Differs: the published code weighs negatives by p^gamma, too.
    """
    cells = split_cells(targets, logits, unlisted)
    found = cells.unlisted & (torch.sigmoid(logits.detach()) > threshold)
    logits = torch.where(cells.positive, logits - margin, logits)
    loss = torch.where(cells.positive | found, focal_positive(logits, gamma), -F.logsigmoid(-logits))
    return reduce_cells(loss, cells.known, reduction)


def focal_positive(logits: Tensor, gamma: float) -> Tensor:
    """-(1 - p)^gamma log p, elementwise, with the gradient flowing through both factors."""
    return -(gamma * F.logsigmoid(-logits)).exp() * F.logsigmoid(logits)
