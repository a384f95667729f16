"""L2D's label-wise embedding distillation: class-aware (CD), instance-aware (ID) and both at once (LED)."""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from .gather import gather_rows, gather_sizes, world_size
from .pairwise_distance import distance_structure_loss
from .positive_groups import positive_cells, positive_groups, send, take_cells, take_rows
from .precision import full_precision


@full_precision
def class_aware_distillation(student: Tensor, teacher: Tensor, targets: Tensor, gather: bool = False) -> Tensor:
    """Keep, for every label, the teacher's distance structure among its positive images of the batch.

    Sum over the labels with more than one positive image of h (`distance_structure_loss`) on that label's embeddings.
    Couples images: over several processes set `gather`.

    Args:
        student: (B, C, d_s) label embeddings.
        teacher: (B, C, d_t) label embeddings; widths may differ, no gradient flows.
        targets: (B, C) in {0, 1, -1}; only positive cells take part.
        gather: compare the positive images of all processes, with exact gradients; only their rows travel.

    Returns:
        The paper's sum, a scalar; 0 with the graph attached when no label has two positive images.

    Raises:
        ValueError: when embeddings and targets do not fit each other.

    Source:
        Multi-Label Knowledge Distillation (Yang et al., ICCV 2023), class-aware label-wise embedding
        distillation.
    """
    pairs = _Pairs(student, teacher, targets, gather)
    return pairs.compare("label", *pairs.of_all_processes())


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
    pairs = _Pairs(student, teacher, targets)
    return pairs.compare("image", pairs.student, pairs.teacher, pairs.positive)


@full_precision
def label_embedding_distillation(
    student: Tensor, teacher: Tensor, targets: Tensor, gather: bool = False
) -> tuple[Tensor, Tensor]:
    """CD and ID at once: one look at the targets, one copy of the rows and one dense gradient for both.

    Args:
        student: (B, C, d_s) label embeddings.
        teacher: (B, C, d_t) label embeddings; no gradient flows.
        targets: (B, C) in {0, 1, -1}; only positive cells take part.
        gather: CD compares the positive images of all processes; ID is always about this process's own images.

    Returns:
        (`class_aware_distillation`, `instance_aware_distillation`); L2D weighs them 100 and 1000.

    Raises:
        ValueError: when embeddings and targets do not fit each other.
    """
    pairs = _Pairs(student, teacher, targets, gather)
    class_aware = pairs.compare("label", *pairs.of_all_processes())
    return class_aware, pairs.compare("image", pairs.student, pairs.teacher, pairs.positive)


class _Pairs:
    """The embeddings of a batch's positive (image, label) pairs, in the order of images, then labels."""

    def __init__(self, student: Tensor, teacher: Tensor, targets: Tensor, gather: bool = False) -> None:
        if student.shape[:2] != targets.shape or teacher.shape[:2] != targets.shape:
            raise ValueError(
                f"student embeddings {tuple(student.shape)} and teacher embeddings {tuple(teacher.shape)} must "
                f"both begin with the shape of the targets {tuple(targets.shape)}, one per image and label."
            )
        self.gather = gather and world_size() > 1
        images = gather_sizes(targets) if self.gather else [len(targets)]
        self.everyone = np.split(
            positive_cells(gather_rows(targets, images) if self.gather else targets), np.cumsum(images)[:-1]
        )
        self.positive = self.everyone[dist.get_rank() if self.gather else 0]
        cells = send(self.positive.ravel().nonzero()[0], student.device)
        self.student, self.teacher = take_cells(student, cells), take_cells(teacher.detach(), cells)

    def of_all_processes(self) -> tuple[Tensor, Tensor, np.ndarray]:
        """Student's and teacher's rows, and the positives (images, labels) they stand for."""
        if not self.gather:
            return self.student, self.teacher, self.positive
        counts = [int(positive.sum()) for positive in self.everyone]
        return gather_rows(self.student, counts), gather_rows(self.teacher, counts), np.concatenate(self.everyone)

    @staticmethod
    def compare(by: str, student: Tensor, teacher: Tensor, positive: np.ndarray) -> Tensor:
        """The sum of h over all groups; one turn of the loop per block of similar sizes, not per group."""
        groups = positive_groups(positive, by, device=student.device)
        if not groups.blocks:
            return student.sum() * 0.0
        lengths = [block.stop - block.start for block in groups.blocks]
        student, teacher = take_rows(student, groups.rows), take_rows(teacher, groups.rows)
        losses = [
            distance_structure_loss(block.pad(rows), block.pad(reference), block.sizes)
            for block, rows, reference in zip(groups.blocks, student.split(lengths), teacher.split(lengths))
        ]
        return torch.cat(losses).sum()
