"""Large losses of unlisted cells point to missing positives: reject them (LL-R) or correct them (LL-Ct)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import full_precision
from .reduction import reduce_cells
from .unlisted import Cells, split_cells


@full_precision
def large_loss_rejection(
    logits: Tensor, targets: Tensor, share: float, unlisted: int = 0, reduction: str = "mean"
) -> Tensor:
    """LL-R: cross-entropy in which the unlisted cells of the largest losses cost nothing.

    Couples images, for the largest are those of the whole batch: gather the inputs of all processes first.

    Args:
        logits: (B, C).
        targets: (B, C) in {0, 1, -1}.
        share: of all cells that count, how many are large, in [0, 1]. In the paper it grows by 0.1 to 0.6 % an epoch,
            from 0 in the first.
        unlisted: which targets nobody listed, 0 or -1 (`split_cells`).
        reduction: "mean" (by the cells that count, rejected ones included, the paper's own), "batchmean" or "sum".

    Returns:
        A scalar.

    Raises:
        ValueError: for another reduction or `unlisted`, a share outside [0, 1], unlike shapes or soft targets.

    Source:
        Large Loss Matters in Weakly Supervised Multi-Label Classification (Kim et al., CVPR 2022), LL-R.
    """
    cells = split_cells(targets, logits, unlisted)
    loss = _cross_entropy(logits, cells)
    loss = torch.where(large_cells(logits, cells, share), torch.zeros_like(loss), loss)
    return reduce_cells(loss, cells.known, reduction)


@full_precision
def large_loss_correction(
    logits: Tensor, targets: Tensor, share: float, unlisted: int = 0, reduction: str = "mean"
) -> Tensor:
    """LL-Ct: cross-entropy in which the unlisted cells of the largest losses count as positives, for this step.

    Args and the rest as `large_loss_rejection`. LL-Cp keeps a correction for good: it wants a memory of
    the training labels and is an objective (`ll_cp`).

    Source:
        Large Loss Matters in Weakly Supervised Multi-Label Classification (Kim et al., CVPR 2022), LL-Ct.
    """
    cells = split_cells(targets, logits, unlisted)
    loss = torch.where(large_cells(logits, cells, share), -F.logsigmoid(logits), _cross_entropy(logits, cells))
    return reduce_cells(loss, cells.known, reduction)


def _cross_entropy(logits: Tensor, cells: Cells) -> Tensor:
    return torch.where(cells.positive, -F.logsigmoid(logits), -F.logsigmoid(-logits))


def large_cells(logits: Tensor, cells: Cells, share: float) -> Tensor:
    """(B, C) bool: the unlisted cells whose loss as negatives is among the largest.

    As many as `share` of all cells that count, rounded up; equal losses are in or out together. How many that are
    stays on the device.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; a share of the cells lies in [0, 1].")
    if share == 0 or logits.numel() == 0:
        return torch.zeros_like(cells.unlisted)
    # the loss -log(1 - p) rises with the logit
    scores = logits.detach().masked_fill(~cells.unlisted, -torch.inf)
    wanted = (share * cells.known.sum().double()).ceil().long().clamp(min=1)
    threshold = scores.flatten().sort(descending=True).values.gather(0, (wanted - 1).view(1))
    return cells.unlisted & (scores >= threshold)
