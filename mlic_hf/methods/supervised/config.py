"""The settings of supervised training: which loss, and what it knows of the training set."""

from __future__ import annotations

from dataclasses import dataclass, field

CLASS_WEIGHTS = ("", "balanced", "inverse_frequency", "effective_number")


@dataclass
class SupervisedConfig:
    """Settings of supervised training.

    For labels that may be missing: em, wan, epr, hill, splc, ll_r, ll_ct, ll_cp. For rare labels: bce with class
    weights, asl, focal, db, two_way, zlpr.
    """

    loss: str = field(
        default="bce",
        metadata={
            "help": "bce, asl (asymmetric), focal, soft_margin, zlpr, two_way, db (distribution-balanced), em "
            "(entropy maximisation), wan (weak assume negative), epr (expected positives), hill, splc (self-paced "
            "correction), ll_r, ll_ct or ll_cp (large losses rejected, corrected, corrected for good)"
        },
    )
    gamma_neg: float = field(default=4.0, metadata={"help": "asl: focus on negatives"})
    gamma_pos: float = field(default=0.0, metadata={"help": "asl: focus on positives"})
    clip: float = field(default=0.05, metadata={"help": "asl: probability margin for negatives"})
    settings: dict = field(
        default_factory=dict,
        metadata={"help": 'settings of the loss, as JSON, e.g. {"alpha": 0.2} for em, {"expected": 1.5} for epr'},
    )
    class_weights: str = field(
        default="", metadata={"help": "bce: balanced, inverse_frequency or effective_number weighs rare labels up"}
    )

    def __post_init__(self) -> None:
        if self.class_weights not in CLASS_WEIGHTS:
            raise ValueError(
                f"supervised.class_weights is {self.class_weights!r}; it is one of {', '.join(CLASS_WEIGHTS[1:])}, or "
                "empty for none."
            )
        if self.class_weights and self.loss != "bce":
            raise ValueError(f"supervised.class_weights belong to the loss bce, not to {self.loss}.")
