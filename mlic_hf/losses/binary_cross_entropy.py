"""Binary cross-entropy over all cells, as L2D's hard loss: sigmoids clamped from below."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

from .precision import full_precision
from .reduction import known_cells, reduce_cells


@full_precision
def binary_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    reduction: str = "sum",
    eps: float = 1e-8,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-weight (pos_weight y log max(p, eps) + (1 - y) log max(1 - p, eps)) with p = sigmoid(logits).

    Args:
        logits: (B, C).
        targets: (B, C) in {0, 1, -1}; values between 0 and 1 are soft targets, -1 takes no part.
        reduction: "sum" (L2D's own), "batchmean" (by images) or "mean" (by known cells, MulCon's own).
        eps: the least probability; a cell beyond it costs -log(eps) and has no gradient.
        weight: (C,) factor of each label; counts and means are those of the cells, whatever they weigh.
        pos_weight: (C,) factor of each label's positives.

    Returns:
        A scalar.

    Raises:
        ValueError: for another reduction or unlike shapes.

    Source:
        Multi-Label Knowledge Distillation (Yang et al., ICCV 2023), the hard loss of its training objective.
    """
    known = known_cells(targets, logits)
    positive = targets.clamp(min=0)
    least = math.log(eps)
    log_p = F.logsigmoid(logits).clamp(min=least)
    log_q = F.logsigmoid(-logits).clamp(min=least)
    present = positive if pos_weight is None else positive * pos_weight
    cells = -(present * log_p + (1 - positive) * log_q)
    return reduce_cells(cells if weight is None else weight * cells, known, reduction)
