"""Distillation of class-activation maps: where a label is seen, whatever the scale of the maps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import full_precision
from .reduction import hard_cells


@full_precision
def class_map_distillation(student: Tensor, teacher: Tensor, targets: Tensor, reduction: str = "sum") -> Tensor:
    """For every positive (image, label): half the mean squared difference of the two maps, each standardised.

    Standardised (its own mean taken off, divided by its own spread over the places), a pair costs 1 minus the
    correlation of its maps, between 0 and 2: what the logits already say, the level of a map, is left to the losses
    of the logits. Both maps are first averaged down to the coarser grid of the two.

    Args:
        student: (B, C, h_s, w_s) class maps.
        teacher: (B, C, h_t, w_t) class maps; no gradient flows.
        targets: (B, C) in {0, 1, -1}; only positive cells take part.
        reduction: "sum" or "mean" (by positive cells).

    Returns:
        A scalar; 0 with the graph attached without a positive.

    Raises:
        ValueError: for another reduction, maps of other images or labels, or soft targets.

    Source:
        Knowledge Distillation from Single to Multi Labels: an Empirical Study (Zhang et al., 2023), class-activation
        maps as what is distilled. Differs: that only positive labels count and the standardisation are ours.
    """
    if reduction not in ("sum", "mean"):
        raise ValueError(f'reduction is "{reduction}"; expected "sum" or "mean".')
    if student.dim() != 4 or student.shape[:2] != targets.shape or teacher.shape[:2] != targets.shape:
        raise ValueError(
            f"student maps {tuple(student.shape)} and teacher maps {tuple(teacher.shape)} must be (images, labels, "
            f"height, width), beginning with the shape of the targets {tuple(targets.shape)}."
        )
    hard_cells(targets, targets)
    size = (min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]))
    own, reference = (_standardised(maps, size) for maps in (student, teacher.detach()))
    pairs = 0.5 * ((own - reference) ** 2).mean(dim=2)
    positive = targets > 0
    total = torch.where(positive, pairs, torch.zeros_like(pairs)).sum()
    return total if reduction == "sum" else total / positive.sum().clamp(min=1)


def _standardised(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) averaged to a size, mean 0 and variance 1 over its places; a flat map becomes 0."""
    places = F.adaptive_avg_pool2d(maps, size).flatten(2)
    return F.layer_norm(places, places.shape[2:])
