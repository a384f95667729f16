"""Zero-bounded log-sum-exp pairwise rank (ZLPR): positives above 0, negatives below, however many there are."""

from __future__ import annotations

import torch
from torch import Tensor

from .precision import full_precision
from .reduction import hard_cells, reduce_images


@full_precision
def zlpr(logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """log(1 + sum over positives e^(-z)) + log(1 + sum over negatives e^z) of every image.

    Args:
        logits: (B, C); 0 is the threshold between the two.
        targets: (B, C) in {0, 1, -1}; -1 takes no part.
        reduction: "mean" (by the images with a known label, the paper's own) or "sum".

    Returns:
        A scalar.

    Raises:
        ValueError: for another reduction, unlike shapes or soft targets.

    Source:
        ZLPR: A Novel Loss for Multi-label Classification (Su et al., 2022), equation of the loss.
    """
    known = hard_cells(targets, logits)
    lowest = torch.finfo(logits.dtype).min
    zero = logits.new_zeros(len(logits), 1)
    above, below = (
        torch.cat([zero, signed.masked_fill(~mask, lowest)], dim=1).logsumexp(dim=1)
        for signed, mask in ((-logits, targets > 0), (logits, targets == 0))
    )
    return reduce_images(above + below, known.any(dim=1), reduction)
