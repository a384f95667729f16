"""RKD: match the distances and the angles between the images of a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from .pairwise_distance import SMALLEST_DISTANCE, distance_structure_loss, pairwise_distances
from .precision import full_precision

LARGEST_CUBE = 1 << 23  # angles held at once; more are computed in slices and recomputed for the gradient


@full_precision
def relational_distillation(
    student: Tensor,
    teacher: Tensor,
    distance_weight: float = 10.0,
    angle_weight: float = 10.0,
    mask: Tensor | None = None,
) -> Tensor:
    """distance_weight * h + angle_weight * smooth L1 between the cosines at every corner of every triangle.

    Couples images: gather the inputs of all processes first.

    Args:
        student: (B, d_s) pooled features.
        teacher: (B, d_t) pooled features; no gradient flows.
        distance_weight: factor of h, the Huber loss between relative distances.
        angle_weight: factor of the angles, a mean over all B^3 entries.
        mask: (B,) bool, the images that take part; None takes all.

    Returns:
        A scalar; 0 with the graph attached for fewer than two images.

    Source:
        Relational Knowledge Distillation (Park et al., CVPR 2019), equations 5 to 10; distances as L2D sums
        them.
    """
    counted = torch.ones(len(student), dtype=torch.bool, device=student.device) if mask is None else mask.bool()
    # the images that take part come first: how many they are stays on the device
    order = counted.sort(descending=True, stable=True).indices
    student, teacher, counted = student[order], teacher.detach()[order], counted[order]
    count = counted.sum()
    if len(student) == 0:
        return student.sum()
    student = student.masked_fill(~counted[:, None], 0.0)
    teacher = teacher.masked_fill(~counted[:, None], 0.0)
    distance = distance_structure_loss(student[None], teacher[None], count.view(1)).sum()
    return distance_weight * distance + angle_weight * _angle_loss(student, teacher, counted)


def _angle_loss(student: Tensor, teacher: Tensor, counted: Tensor) -> Tensor:
    count, pairs = len(student), counted[:, None] & counted
    s, t = pairwise_distances(student), pairwise_distances(teacher)
    entries = counted.sum().clamp(min=1) ** 3
    corners = max(1, LARGEST_CUBE // count**2)
    if corners >= count:
        return _corner_losses(s, t, pairs, 0, count) / entries
    total = s.new_zeros(())
    for first in range(0, count, corners):
        total = total + checkpoint(_corner_losses, s, t, pairs, first, first + corners, use_reentrant=False)
    return total / entries


def _corner_losses(s: Tensor, t: Tensor, pairs: Tensor, first: int, last: int) -> Tensor:
    return F.smooth_l1_loss(_cosines(s, pairs, first, last), _cosines(t, pairs, first, last), reduction="sum")


def _cosines(distances: Tensor, pairs: Tensor, first: int, last: int) -> Tensor:
    """Cosine at corner j between the directions to i and to k, from the three sides alone: (corners, B, B).

    Normalised difference vectors would need (B, B, d); the law of cosines needs only the distances. A side of a
    pair that takes no part counts as 0, and so do its cosines.
    """
    squares = distances**2
    sides = distances[first:last]
    apart = (sides > SMALLEST_DISTANCE) & pairs[first:last]
    inverse = torch.where(apart, 1 / sides.clamp(min=SMALLEST_DISTANCE), torch.zeros_like(sides))
    scaled = squares[first:last]
    opposite = scaled[:, :, None] + scaled[:, None, :] - squares
    return opposite * inverse[:, :, None] * (0.5 * inverse)[:, None, :]
