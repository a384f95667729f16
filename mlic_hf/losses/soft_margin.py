"""Multi-label soft-margin loss: cross-entropy averaged over an image's labels first."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import full_precision
from .reduction import known_cells, reduce_images


@full_precision
def soft_margin(logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """The mean over an image's known labels of -(y log p + (1 - y) log(1 - p)), then over images.

    Args:
        logits: (B, C).
        targets: (B, C) in {0, 1, -1}; values between 0 and 1 are soft targets, -1 takes no part.
        reduction: "mean" (OASS's own: over the images with a known label) or "sum" of the per-image means.

    Returns:
        A scalar.

    Raises:
        ValueError: for another reduction or unlike shapes.

    Source:
        The classification loss of OASS, `torch.nn.MultiLabelSoftMarginLoss` where all is known.
    """
    known = known_cells(targets, logits)
    cells = F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype).clamp(min=0), reduction="none")
    counts = known.sum(dim=1)
    images = torch.where(known, cells, torch.zeros_like(cells)).sum(dim=1) / counts.clamp(min=1)
    return reduce_images(images, counts > 0, reduction)
