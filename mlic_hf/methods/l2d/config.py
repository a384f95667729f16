"""The settings of L2D: one weight a loss, zero switches it off."""

from __future__ import annotations

from dataclasses import dataclass, field

REDUCTIONS = ("batchmean", "sum")
CELLS = ("known", "all")


@dataclass
class L2DConfig:
    """L = hard + class-aware + instance-aware + logits + features, each with its weight.

    The defaults are the paper's example configuration (lambda_ft 0, lambda_le 1, lambda_logits 10); the weights
    of the two embedding losses are 100 and 1000 times lambda_le. The logit losses are batch means in the paper,
    so over images they carry one more division by the batch than the hard loss does; as published. With
    `logit_reduction` "sum" they are batch sums like the hard loss: weight_mld is then MLD's share of a cell beside
    weight_hard, whatever the batch and the number of labels.
    """

    weight_hard: float = field(default=1.0, metadata={"help": "binary cross-entropy on the labels"})
    weight_class_aware: float = field(default=100.0, metadata={"help": "CD: embeddings of one label across images"})
    weight_instance_aware: float = field(
        default=1000.0, metadata={"help": "ID: embeddings of one image across its labels"}
    )
    weight_mld: float = field(default=10.0, metadata={"help": "MLD: binary KL of every label's probability"})
    weight_symmetric: float = field(default=0.0, metadata={"help": "MLD in both directions, halved (Jeffreys)"})
    weight_partial_softmax: float = field(default=0.0, metadata={"help": "PSM: softmax of a positive among negatives"})
    weight_pkt: float = field(default=0.0, metadata={"help": "PKT on pooled features"})
    weight_rkd: float = field(default=0.0, metadata={"help": "RKD on pooled features (10 distance + 10 angle)"})
    weight_review: float = field(default=0.0, metadata={"help": "ReviewKD on the stage maps"})
    weight_class_maps: float = field(
        default=0.0, metadata={"help": "class-activation maps of the positive labels; both models must give them"}
    )
    logit_reduction: str = field(
        default="batchmean", metadata={"help": "the logits' losses: batchmean (the paper's) or sum (a share a cell)"}
    )
    logit_cells: str = field(
        default="known",
        metadata={
            "help": "cells of MLD and its symmetric form: known (the paper's), or all, where the teacher also answers "
            "for labels that are unknown in an image"
        },
    )
    temperature: float = field(default=1.0, metadata={"help": "of MLD and its symmetric form"})

    def __post_init__(self) -> None:
        negative = [name for name, value in vars(self).items() if name.startswith("weight_") and value < 0]
        if negative:
            raise ValueError(f"L2D's weights cannot be negative: {', '.join(negative)}.")
        if self.logit_reduction not in REDUCTIONS:
            raise ValueError(f"l2d.logit_reduction is {self.logit_reduction!r}; it is one of {', '.join(REDUCTIONS)}.")
        if self.logit_cells not in CELLS:
            raise ValueError(f"l2d.logit_cells is {self.logit_cells!r}; it is one of {', '.join(CELLS)}.")
        if self.temperature <= 0:
            raise ValueError(f"l2d.temperature is {self.temperature}; it must be above 0.")
