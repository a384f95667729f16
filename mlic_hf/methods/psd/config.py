"""The settings of PSD."""

from __future__ import annotations

from dataclasses import dataclass, field

DIVERGENCES = ("mse", "kl", "binary_kl")
REDUCTIONS = ("sum", "mean")


@dataclass
class PSDConfig:
    """L = weight_hard ASL + (1 - weight_hard) (alpha D(z, t_first) + (1 - alpha) D(z, t_second)).

    The defaults are the paper's: one half, one half, squared error; first and second are the joint (cgp) and the
    category-specific (dgp) partition. With one kind its divergence has all of the distillation's weight. The squared
    error is unbounded: summed, it can outweigh the labels' loss; `divergence_reduction` "mean" averages it over the
    cells of the batch, so that its share depends neither on the batch nor on the number of labels.
    """

    parts: int = field(default=5, metadata={"help": "parts a partition, when the run makes the partitions itself"})
    kinds: list = field(
        default_factory=lambda: ["cgp", "dgp"],
        metadata={"help": 'one or two partitions: cgp, dgp, random, as JSON, e.g. ["cgp", "dgp"]'},
    )
    alpha: float = field(default=0.5, metadata={"help": "share of the first partition in the distillation"})
    weight_hard: float = field(default=0.5, metadata={"help": "weight of the labels' own loss"})
    divergence: str = field(
        default="mse", metadata={"help": "mse, kl (softmax over labels) or binary_kl (each label's own)"}
    )
    divergence_reduction: str = field(
        default="sum", metadata={"help": "sum over the batch's cells (the paper's) or mean over them"}
    )
    temperature: float = field(default=4.0, metadata={"help": "kl, binary_kl: divides the logits"})
    gamma_neg: float = field(default=4.0, metadata={"help": "asymmetric loss: focus on negatives"})
    gamma_pos: float = field(default=0.0, metadata={"help": "asymmetric loss: focus on positives"})
    clip: float = field(default=0.05, metadata={"help": "asymmetric loss: probability margin for negatives"})
    stack_teachers: bool = field(
        default=False, metadata={"help": "run the teachers' backbones as one batched call; faster on a GPU"}
    )
    jobs: int = field(default=0, metadata={"help": "teachers trained at once; 0: one a GPU, or one a CPU core"})

    def __post_init__(self) -> None:
        if self.divergence not in DIVERGENCES:
            raise ValueError(f"psd.divergence is {self.divergence!r}; it is one of {', '.join(DIVERGENCES)}.")
        if self.divergence_reduction not in REDUCTIONS:
            raise ValueError(
                f"psd.divergence_reduction is {self.divergence_reduction!r}; it is one of {', '.join(REDUCTIONS)}."
            )
        if self.temperature <= 0:
            raise ValueError(f"psd.temperature is {self.temperature}; it must be above 0.")
        if not 1 <= len(self.kinds) <= 2 or len(set(self.kinds)) != len(self.kinds):
            raise ValueError(f"psd.kinds is {self.kinds!r}; one or two different kinds of partition were expected.")
        for name in ("alpha", "weight_hard"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"psd.{name} is {getattr(self, name)}; a share lies in [0, 1].")
        if self.parts < 1:
            raise ValueError(f"psd.parts is {self.parts}; a partition has at least one part.")
