"""PKT: match the conditional probabilities that cosine similarities give between the images of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from .precision import full_precision

EPS = 1e-7


@full_precision
def probabilistic_knowledge_transfer(student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean over all pairs of t log((t + e) / (s + e)), t and s the row-normalised similarities, e = 1e-7.

    Couples images: gather the inputs of all processes first.

    Args:
        student: (B, d_s) pooled features.
        teacher: (B, d_t) pooled features; no gradient flows.
        mask: (B,) bool, the images that take part; None takes all.

    Returns:
        A scalar; 0 with the graph attached for fewer than two images.

    Source:
        Learning Deep Representations with Probabilistic Knowledge Transfer (Passalis and Tefas, ECCV 2018).
    """
    counted = torch.ones(len(student), dtype=torch.bool, device=student.device) if mask is None else mask.bool()
    pairs = counted[:, None] & counted
    s, t = _conditional(student, counted), _conditional(teacher.detach(), counted)
    divergence = (t * ((t + EPS) / (s + EPS)).log()).masked_fill(~pairs, 0.0).sum()
    count = counted.sum()
    return torch.where(count < 2, divergence * 0.0, divergence / count.clamp(min=1) ** 2)


def _conditional(features: Tensor, counted: Tensor) -> Tensor:
    """Cosines moved to [0, 1], every row divided by its sum over the images that take part: (B, d) -> (B, B)."""
    features = features.masked_fill(~counted[:, None], 0.0)
    unit = features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + EPS)
    similarity = (unit @ unit.t() + 1) / 2
    return similarity / (similarity * counted).sum(dim=1, keepdim=True).clamp(min=torch.finfo(features.dtype).tiny)
