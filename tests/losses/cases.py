"""One row a loss: random inputs and a call `loss(leaf, fixed, targets) -> scalar` that sums over images or cells.

The common tests (oracle, permutation, unknown images, degenerate batches, half types, gradcheck) run every row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mlic_hf import losses
from tests.losses import oracles

Call = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class LossCase:
    """`shape` names the inputs: "logits" (B, C), "embeddings" (B, C, d) or "pooled" (B, d)."""

    name: str
    shape: str
    call: Call
    oracle: Call
    below_zero: bool = False  # a loss that rewards
    by_label: bool = False  # labels differ by more than their scores and targets


def views(graph: Tensor, fixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return graph, fixed, 0.5 * fixed


def weighed(class_aware: Tensor, instance_aware: Tensor) -> Tensor:
    return 100 * class_aware + 1000 * instance_aware


def frequencies(z: Tensor) -> Tensor:
    """(C,) falling numbers in (0, 1] for the labels."""
    return 1 / torch.arange(1, z.shape[1] + 1, dtype=z.dtype)


def positive_of(weight: Tensor) -> oracles.CellCost:
    return lambda z, p: -2 / float(weight) * p.log()


def absent(z: Tensor, p: Tensor) -> Tensor:
    return -(1 - p).log()


def known_images(y: Tensor) -> Tensor:
    return (y >= 0).any(dim=1)


CASES = [
    LossCase(
        "asymmetric",
        "logits",
        lambda z, _, y: losses.asymmetric_loss(z, y),
        lambda z, _, y: oracles.asymmetric_loss(z, y),
    ),
    LossCase(
        "binary_cross_entropy",
        "logits",
        lambda z, _, y: losses.binary_cross_entropy(z, y),
        lambda z, _, y: oracles.binary_cross_entropy(z, y),
    ),
    LossCase("focal", "logits", lambda z, _, y: losses.focal(z, y), lambda z, _, y: oracles.focal(z, y)),
    LossCase(
        "soft_margin",
        "logits",
        lambda z, _, y: losses.soft_margin(z, y, "sum"),
        lambda z, _, y: oracles.soft_margin(z, y),
    ),
    LossCase(
        "binary_cross_entropy_weighted",
        "logits",
        lambda z, _, y: losses.binary_cross_entropy(z, y, weight=frequencies(z), pos_weight=2 / frequencies(z)),
        lambda z, _, y: sum(
            (
                float(w) * oracles.cell_loop(z[:, c : c + 1], y[:, c : c + 1], positive_of(w), absent)
                for c, w in enumerate(frequencies(z))
            ),
            z.sum() * 0,
        ),
        by_label=True,
    ),
    LossCase(
        "entropy_maximization",
        "logits",
        lambda z, _, y: losses.entropy_maximization(z, y, reduction="sum"),
        lambda z, _, y: oracles.entropy_maximization(z, y),
        below_zero=True,
    ),
    LossCase(
        "weak_negatives",
        "logits",
        lambda z, _, y: losses.weak_negatives(z, y, reduction="sum"),
        lambda z, _, y: oracles.weak_negatives(z, y),
    ),
    LossCase("hill", "logits", lambda z, _, y: losses.hill(z, y), lambda z, _, y: oracles.hill(z, y)),
    LossCase(
        "self_paced_correction",
        "logits",
        lambda z, _, y: losses.self_paced_correction(z, y),
        lambda z, _, y: oracles.self_paced_correction(z, y),
    ),
    LossCase(
        "expected_positives",
        "logits",
        lambda z, _, y: losses.expected_positives(z, y, 1.0, reduction="sum"),
        lambda z, _, y: oracles.expected_positives(z, y, 1.0),
    ),
    LossCase(
        "large_loss_rejection",
        "logits",
        lambda z, _, y: losses.large_loss_rejection(z, y, 0.2, reduction="sum"),
        lambda z, _, y: oracles.large_loss(z, y, 0.2, corrected=False),
    ),
    LossCase(
        "large_loss_correction",
        "logits",
        lambda z, _, y: losses.large_loss_correction(z, y, 0.2, reduction="sum"),
        lambda z, _, y: oracles.large_loss(z, y, 0.2, corrected=True),
    ),
    LossCase(
        "distribution_balanced",
        "logits",
        lambda z, _, y: losses.distribution_balanced(z, y, 1 + 30 * frequencies(z), 60, reduction="sum"),
        lambda z, _, y: oracles.distribution_balanced(z, y, 1 + 30 * frequencies(z), 60),
        by_label=True,
    ),
    LossCase(
        "two_way",
        "logits",
        lambda z, _, y: losses.two_way(z, y, reduction="sum"),
        lambda z, _, y: oracles.two_way(z, y),
    ),
    LossCase("zlpr", "logits", lambda z, _, y: losses.zlpr(z, y, "sum"), lambda z, _, y: oracles.zlpr(z, y)),
    LossCase(
        "logit_distillation",
        "logits",
        losses.multi_label_logit_distillation,
        oracles.multi_label_logit_distillation,
    ),
    LossCase(
        "logit_distillation_softened",
        "logits",
        lambda s, t, y: losses.multi_label_logit_distillation(s, t, y, temperature=2.0),
        lambda s, t, y: 4 * oracles.multi_label_logit_distillation(s / 2, t / 2, y),
    ),
    LossCase(
        "symmetric_logit_distillation",
        "logits",
        losses.symmetric_logit_distillation,
        oracles.symmetric_logit_distillation,
    ),
    LossCase(
        "class_maps",
        "embeddings",
        lambda s, t, y: losses.class_map_distillation(s[:, :, None], t[:, :, None, 1:], y),
        lambda s, t, y: oracles.class_map_distillation(s[:, :, None], t[:, :, None, 1:], y),
    ),
    LossCase(
        "partial_softmax",
        "logits",
        lambda s, t, y: losses.partial_softmax_distillation(s, t, y, "sum"),
        oracles.partial_softmax_distillation,
    ),
    LossCase(
        "partition_mse",
        "logits",
        lambda s, t, y: losses.partition_distillation_mse(s, t, targets=y),
        lambda s, t, y: oracles.partition_distillation_mse(torch.where(y >= 0, s, 0.0), torch.where(y >= 0, t, 0.0)),
    ),
    LossCase(
        "partition_kl",
        "logits",
        lambda s, t, y: losses.partition_distillation_kl(s, t, targets=y),
        lambda s, t, y: sum(
            (
                oracles.partition_distillation_kl(s[i : i + 1, y[i] >= 0], t[i : i + 1, y[i] >= 0])
                for i in range(len(y))
            ),
            s.sum() * 0,
        ),
    ),
    LossCase("class_aware", "embeddings", losses.class_aware_distillation, oracles.class_aware_distillation),
    LossCase("instance_aware", "embeddings", losses.instance_aware_distillation, oracles.instance_aware_distillation),
    LossCase(
        "label_embedding",
        "embeddings",
        lambda s, t, y: weighed(*losses.label_embedding_distillation(s, t, y)),
        lambda s, t, y: (
            100 * oracles.class_aware_distillation(s, t, y) + 1000 * oracles.instance_aware_distillation(s, t, y)
        ),
    ),
    LossCase(
        "label_contrastive",
        "embeddings",
        lambda e, _, y: losses.label_contrastive(F.normalize(e, dim=-1), y),
        lambda e, _, y: oracles.label_contrastive(F.normalize(e, dim=-1), y),
    ),
    LossCase(
        "co_occurrence",
        "embeddings",
        lambda g, f, y: losses.co_occurrence_contrast(*views(g, f), y, reduction="sum"),
        lambda g, f, y: oracles.co_occurrence_contrast(*views(g, f), y),
    ),
    LossCase(
        "pkt",
        "pooled",
        lambda s, t, y: losses.probabilistic_knowledge_transfer(s, t, known_images(y)),
        lambda s, t, y: oracles.probabilistic_knowledge_transfer(s[known_images(y)], t[known_images(y)]),
    ),
    LossCase(
        "rkd",
        "pooled",
        lambda s, t, y: losses.relational_distillation(s, t, mask=known_images(y)),
        lambda s, t, y: oracles.relational_distillation(s[known_images(y)], t[known_images(y)]),
    ),
]
BY_NAME = {case.name: case for case in CASES}


def random_inputs(
    case: LossCase, images: int, labels: int, seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    """(leaf, fixed, targets) with positives, negatives and some unknown cells."""
    generator = torch.Generator().manual_seed(seed)
    shape = {"logits": (images, labels), "embeddings": (images, labels, 5), "pooled": (images, 6)}[case.shape]
    leaf, fixed = (torch.randn(shape, generator=generator, dtype=dtype) for _ in "ab")
    if case.shape == "logits":
        leaf, fixed = 2 * leaf, 2 * fixed
    draw = torch.rand(images, labels, generator=generator)
    targets = (draw < 0.4).to(dtype).masked_fill(draw > 0.85, -1.0)
    return leaf, fixed, targets
