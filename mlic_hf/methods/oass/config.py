"""The settings of OASS: where images are cut, what the two losses weigh, who makes the merged maps."""

from __future__ import annotations

from dataclasses import dataclass, field

STRATEGIES = ("max", "cmax", "ctopk", "ctopk_w")
GRADIENTS = ("none", "online")


@dataclass
class OASSConfig:
    """L = soft margin + weight_partial * L_p + alpha_re(t) * L_re; the defaults are the paper's.

    With `gradient` "none" the merged maps come from the averaged copy, as published: L_p then only measures, and
    L_re moves the whole image's map towards the merged one. With "online" they come from the trained model itself.
    A weight of 0 leaves its loss out; with both at 0 nothing is cut.
    """

    key_points: str = field(default="ctopk_w", metadata={"help": f"where images are cut: {', '.join(STRATEGIES)}"})
    k: int = field(default=5, metadata={"help": "ctopk, ctopk_w: local maxima that are averaged"})
    weight_partial: float = field(default=0.5, metadata={"help": "alpha_p, the partial class loss"})
    weight_reconstruction: float = field(default=3.0, metadata={"help": "alpha_re at its end, the reconstruction"})
    ramp: float = field(default=0.05, metadata={"help": "share of the run in which alpha_re rises from 0"})
    gradient: str = field(
        default="none", metadata={"help": "none (merged maps of the averaged copy) or online (of the model itself)"}
    )
    average_decay: float = field(default=0.99, metadata={"help": "highest decay of the averaged copy"})
    chunk_size: int = field(default=0, metadata={"help": "cuts that go through the model at once; 0 to measure"})

    def __post_init__(self) -> None:
        for name, allowed in (("key_points", STRATEGIES), ("gradient", GRADIENTS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"oass.{name} is {getattr(self, name)!r}; it is one of {', '.join(allowed)}.")
        for name in ("weight_partial", "weight_reconstruction", "chunk_size"):
            if getattr(self, name) < 0:
                raise ValueError(f"oass.{name} is {getattr(self, name)}; expected 0 or more.")
        for name in ("ramp", "average_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"oass.{name} is {getattr(self, name)}; expected a share from 0 to 1.")
        if self.k < 1:
            raise ValueError(f"oass.k is {self.k}; expected at least 1.")
