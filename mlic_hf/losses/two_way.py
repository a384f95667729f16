"""Two-way loss: positives above negatives within each image, and within each label."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import full_precision
from .reduction import hard_cells


@full_precision
def two_way(logits: Tensor, targets: Tensor, temperature: float = 4.0, reduction: str = "mean") -> Tensor:
    """Mean over images plus mean over labels of softplus(log sum_negatives e^z + T log sum_positives e^(-z/T)).

    The first compares an image's labels, the second a label's images; those without a positive are left out of their
    mean. Couples images: gather the inputs of all processes first.

    Args:
        logits: (B, C).
        targets: (B, C) in {0, 1, -1}; -1 takes no part.
        temperature: T, of the positives.
        reduction: "mean" (the paper's own) or "sum", the mean times the images with a known cell.

    Returns:
        A scalar; 0 with the graph attached without a positive.

    Raises:
        ValueError: for another reduction, a temperature that is not positive, unlike shapes or soft targets.

    Source:
        Two-way Multi-Label Loss (Kobayashi, CVPR 2023), sample-wise and class-wise loss.
    """
    if reduction not in ("sum", "mean"):
        raise ValueError(f'reduction is "{reduction}"; expected "sum" or "mean".')
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; it must be positive.")
    known = hard_cells(targets, logits)
    positive, negative = targets > 0, targets == 0
    lowest = torch.finfo(logits.dtype).min
    hardest_negative = logits.masked_fill(~negative, lowest)
    hardest_positive = (-logits / temperature).masked_fill(~positive, lowest)
    mean = logits.sum() * 0.0
    for dim in (1, 0):
        margin = hardest_negative.logsumexp(dim) + temperature * hardest_positive.logsumexp(dim)
        counted = positive.any(dim=dim)
        mean = mean + torch.where(counted, F.softplus(margin), 0.0).sum() / counted.sum().clamp(min=1)
    return mean if reduction == "mean" else mean * known.any(dim=1).sum()
