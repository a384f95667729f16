"""The settings of CoCo: its asymmetric loss and its contrast."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class CoOccurrenceLossConfig:
    """L = ASL + weight_contrast * CTR; the defaults are the paper's for COCO and NUS-WIDE.

    gamma_neg is 0 for VOC2007, 1 for COCO and NUS-WIDE, 2 for VG500. The steps K of the graph network belong
    to the model (`graph_steps` of its config).
    """

    weight_contrast: float = field(default=1.0, metadata={"help": "lambda, the weight of the contrast"})
    tau: float = field(default=1.0, metadata={"help": "temperature of the contrast"})
    normalize: bool = field(
        default=False,
        metadata={"help": "contrast embeddings of unit length (then with a small tau); not as published"},
    )
    gamma_neg: float = field(default=1.0, metadata={"help": "asl: focus on negatives"})
    gamma_pos: float = field(default=0.0, metadata={"help": "asl: focus on positives"})
    clip: float = field(default=0.0, metadata={"help": "asl: probability margin for negatives"})
    eps: float = field(default=1e-5, metadata={"help": "asl: smallest probability a logarithm is taken of"})
    scale: float = field(default=1000.0, metadata={"help": "asl: factor on the mean over all cells"})
    graph_steps: int = field(
        default=1, metadata={"help": "steps of the graph network that is made for a model without one"}
    )

    def __post_init__(self) -> None:
        if self.tau <= 0:
            raise ValueError(f"co_occurrence.tau is {self.tau}; it must be above 0.")
        if self.weight_contrast < 0:
            raise ValueError(f"co_occurrence.weight_contrast is {self.weight_contrast}; expected 0 or more.")
        if self.graph_steps < 1:
            raise ValueError(f"co_occurrence.graph_steps is {self.graph_steps}; expected at least 1.")
