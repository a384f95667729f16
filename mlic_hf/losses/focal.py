"""Focal loss: cross-entropy of each cell, turned down where the model is already right."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from .precision import full_precision
from .reduction import known_cells, reduce_cells


@full_precision
def focal(
    logits: Tensor,
    targets: Tensor,
    gamma: float = 2.0,
    alpha: float | None = 0.25,
    reduction: str = "sum",
) -> Tensor:
    """-alpha_t (1 - pt)^gamma log pt, with the gradient flowing through the focus factor.

    Args:
        logits: (B, C).
        targets: (B, C) in {0, 1, -1}; a value y between 0 and 1 costs y times the positive's and 1 - y times the
            negative's loss, -1 takes no part.
        gamma: focus; 0 is plain cross-entropy.
        alpha: weight of the positives, 1 - alpha that of the negatives; None weighs both with 1.
        reduction: "sum", "batchmean" (by images) or "mean" (by known cells).

    Returns:
        A scalar.

    Raises:
        ValueError: for another reduction or unlike shapes.

    Source:
        Focal Loss for Dense Object Detection (Lin et al., ICCV 2017), equation 5.
    """
    known = known_cells(targets, logits)
    positive = targets.clamp(min=0)
    # log(1 - pt) of a hard target is the turned logit's log-sigmoid: the power never sees a rounded 1 - pt
    log_p, log_q = F.logsigmoid(logits), F.logsigmoid(-logits)
    easy, hard = (gamma * log_q).exp() * log_p, (gamma * log_p).exp() * log_q
    if alpha is not None:
        easy, hard = alpha * easy, (1 - alpha) * hard
    return reduce_cells(-(positive * easy + (1 - positive) * hard), known, reduction)
