"""The settings of MulCon: which of its two stages, and how the contrast is made."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class MulConLossConfig:
    """L = BCE in stage one, BCE + weight_contrast * SupCon in stage two; the defaults are the paper's.

    With weight_contrast 0, stage two still sees its two views of each image: this is the baseline with the
    same network, images and steps.
    """

    stage: int = field(default=2, metadata={"help": "1: labels alone; 2: labels and contrast, two views an image"})
    stage_one: dict = field(
        default_factory=dict,
        metadata={"help": 'settings of stage one\'s own run that differ, e.g. {"optimizer": "adamw"}'},
    )
    weight_contrast: float = field(default=0.5, metadata={"help": "weight of the contrast in stage two"})
    temperature: float = field(default=0.2, metadata={"help": "temperature of the contrast"})
    denominator_size: int = field(
        default=0,
        metadata={"help": "fill up with the highest-scored negative pairs until a batch has so many rows"},
    )
    gather: bool = field(
        default=True, metadata={"help": "contrast the pairs of all processes; off: each process its own"}
    )
    views: int = field(default=2, metadata={"help": "augmented views of an image in stage two, 1 or 2"})
    projection_size: int = field(
        default=128, metadata={"help": "width of the projector that is made for a model without one"}
    )

    def __post_init__(self) -> None:
        if self.stage not in (1, 2):
            raise ValueError(f"mulcon.stage is {self.stage!r}; it is 1 (labels alone) or 2 (contrast).")
        if self.views not in (1, 2):
            raise ValueError(f"mulcon.views is {self.views!r}; an image has 1 or 2 views.")
        if self.temperature <= 0:
            raise ValueError(f"mulcon.temperature is {self.temperature}; it must be above 0.")
        if self.weight_contrast < 0 or self.denominator_size < 0:
            raise ValueError(
                f"mulcon.weight_contrast ({self.weight_contrast}) and mulcon.denominator_size "
                f"({self.denominator_size}) cannot be negative."
            )
