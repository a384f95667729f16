"""Weak assume negative (WAN): unlisted cells are negatives of little weight."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import full_precision
from .reduction import reduce_cells
from .unlisted import split_cells


@full_precision
def weak_negatives(
    logits: Tensor, targets: Tensor, weight: float | None = None, unlisted: int = 0, reduction: str = "mean"
) -> Tensor:
    """-log p of a positive, -weight log(1 - p) of an unlisted cell, -log(1 - p) of a negative that is known.

    Args:
        logits: (B, C).
        targets: (B, C) in {0, 1, -1}.
        weight: of an unlisted cell; None is the paper's 1 / (C - 1), with which all unlisted cells of an image with
            one positive weigh as much as that positive. 1 is plain cross-entropy.
        unlisted: which targets nobody listed, 0 or -1 (`split_cells`).
        reduction: "mean" (by the cells that count, the paper's own), "batchmean" (by images) or "sum".

    Returns:
        A scalar.

    Raises:
        ValueError: for another reduction or `unlisted`, unlike shapes or soft targets.

    Source:
        Multi-Label Learning from Single Positive Labels (Cole et al., CVPR 2021), the weak assume-negative loss.
        Differs: the published code adds 1e-5 within the logarithms.
    """
    cells = split_cells(targets, logits, unlisted)
    weight = 1 / max(1, logits.shape[1] - 1) if weight is None else weight
    absent = -F.logsigmoid(-logits)
    loss = torch.where(cells.positive, -F.logsigmoid(logits), torch.where(cells.unlisted, weight * absent, absent))
    return reduce_cells(loss, cells.known, reduction)
