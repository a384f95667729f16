"""L2D's label-wise embedding distillation: class-aware (CD), instance-aware (ID) and both at once (LED)."""

from __future__ import annotations

import torch
from torch import Tensor

from .pairwise_distance import distance_structure_loss
from .positive_groups import PositiveGroups, positive_groups, take_cells, take_rows
from .precision import full_precision


@full_precision
def class_aware_distillation(student: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
    """Keep, for every label, the teacher's distance structure among its positive images of the batch.

    Sum over the labels with more than one positive image of h (`distance_structure_loss`) on that label's embeddings.
    Couples images: gather the inputs of all processes first.

    Args:
        student: (B, C, d_s) label embeddings.
        teacher: (B, C, d_t) label embeddings; widths may differ, no gradient flows.
        targets: (B, C) in {0, 1, -1}; only positive cells take part.

    Returns:
        The paper's sum, a scalar; 0 with the graph attached when no label has two positive images.

    Raises:
        ValueError: when embeddings and targets do not fit each other.

    Source:
        Multi-Label Knowledge Distillation (Yang et al., ICCV 2023), class-aware label-wise embedding
        distillation.
    """
    return _grouped(student, teacher, targets, "label")


@full_precision
def instance_aware_distillation(student: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
    """Keep, within every image, the teacher's distance structure among its positive labels.

    Sum over the images with more than one positive label of h (`distance_structure_loss`) on that image's embeddings.

    Args:
        student: (B, C, d_s) label embeddings.
        teacher: (B, C, d_t) label embeddings; widths may differ, no gradient flows.
        targets: (B, C) in {0, 1, -1}; only positive cells take part.

    Returns:
        The paper's sum, a scalar; 0 with the graph attached when no image has two positive labels.

    Raises:
        ValueError: when embeddings and targets do not fit each other.

    Source:
        Multi-Label Knowledge Distillation (Yang et al., ICCV 2023), instance-aware label-wise embedding
        distillation.
    """
    return _grouped(student, teacher, targets, "image")


@full_precision
def label_embedding_distillation(
    student: Tensor,
    teacher: Tensor,
    targets: Tensor,
    class_weight: float = 100.0,
    instance_weight: float = 1000.0,
) -> Tensor:
    """LED: class_weight * CD + instance_weight * ID, with one gather and one dense gradient for both.

    Args:
        student: (B, C, d_s) label embeddings.
        teacher: (B, C, d_t) label embeddings; no gradient flows.
        targets: (B, C) in {0, 1, -1}; only positive cells take part.
        class_weight: factor of the class-aware part.
        instance_weight: factor of the instance-aware part.

    Returns:
        A scalar.

    Raises:
        ValueError: when embeddings and targets do not fit each other.
    """
    _check(student, teacher, targets)
    positive = (targets > 0).flatten()
    cells = positive.nonzero()[:, 0]
    rows, reference = take_cells(student, cells), take_cells(teacher.detach(), cells)
    rank = positive.cumsum(0) - 1
    total = rows.sum() * 0.0
    for weight, by in ((class_weight, "label"), (instance_weight, "image")):
        groups = positive_groups(targets, by)
        index = rank[groups.cells]
        total = total + weight * _structure(take_rows(rows, index), reference[index], groups)
    return total


def _check(student: Tensor, teacher: Tensor, targets: Tensor) -> None:
    if student.shape[:2] != targets.shape or teacher.shape[:2] != targets.shape:
        raise ValueError(
            f"student embeddings {tuple(student.shape)} and teacher embeddings {tuple(teacher.shape)} must "
            f"both begin with the shape of the targets {tuple(targets.shape)}, one per image and label."
        )


def _grouped(student: Tensor, teacher: Tensor, targets: Tensor, by: str) -> Tensor:
    _check(student, teacher, targets)
    groups = positive_groups(targets, by)
    return _structure(take_cells(student, groups.cells), take_cells(teacher.detach(), groups.cells), groups)


def _structure(student: Tensor, teacher: Tensor, groups: PositiveGroups) -> Tensor:
    """The sum of h over all groups; one turn of the loop per block of similar sizes, not per group."""
    if not groups.blocks:
        return student.sum() * 0.0
    lengths = [block.stop - block.start for block in groups.blocks]
    losses = [
        distance_structure_loss(block.pad(rows), block.pad(reference), block.sizes)
        for block, rows, reference in zip(groups.blocks, student.split(lengths), teacher.split(lengths))
    ]
    return torch.cat(losses).sum()
