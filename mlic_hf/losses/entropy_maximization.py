"""Entropy maximisation (EM): what nobody listed shall stay undecided until the images decide it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import full_precision
from .reduction import reduce_cells
from .unlisted import split_cells


@full_precision
def entropy_maximization(
    logits: Tensor, targets: Tensor, alpha: float = 0.1, unlisted: int = 0, reduction: str = "mean"
) -> Tensor:
    """-log p of a positive, -alpha H(p) of an unlisted cell, -log(1 - p) of a negative that is known.

    H(p) = -(p log p + (1 - p) log(1 - p)). The gradient of an unlisted cell is small at both ends and in the middle,
    so a network is neither pushed to call a missing positive negative nor to believe its own early guesses.

    Args:
        logits: (B, C).
        targets: (B, C) in {0, 1, -1}.
        alpha: weight of the entropy; the paper's are 0.2 (VOC), 0.1 (COCO, NUS-WIDE) and 0.01 (CUB).
        unlisted: which targets nobody listed, 0 or -1 (`split_cells`).
        reduction: "mean" (by the cells that count, the paper's own), "batchmean" (by images) or "sum".

    Returns:
        A scalar, below 0 where much is undecided.

    Raises:
        ValueError: for another reduction or `unlisted`, unlike shapes or soft targets.

    Source:
        Acknowledging the Unknown for Multi-label Learning with Single Positive Labels (Zhou et al., ECCV 2022),
        the entropy-maximization loss. Differs: the published code adds 1e-5 within the logarithms.
    """
    cells = split_cells(targets, logits, unlisted)
    entropy = F.softplus(logits) - torch.sigmoid(logits) * logits
    loss = torch.where(cells.positive, -F.logsigmoid(logits), -alpha * entropy)
    loss = torch.where(cells.negative, -F.logsigmoid(-logits), loss)
    return reduce_cells(loss, cells.known, reduction)
