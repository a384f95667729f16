"""One CoCo training step with many labels on the CPU: prints the peak resident memory in GB and the seconds.

Arguments: backbone, image size, images, labels; then "checkpointing" to recompute activations.
"""

from __future__ import annotations

import math
import resource
import sys
import time

import torch

from mlic_hf import modeling
from mlic_hf.methods.co_occurrence import CoOccurrenceLossConfig, co_occurrence_objectives
from tests.methods.together import Together


def step(backbone: str, image_size: int, images: int, labels: int, checkpointing: bool = False) -> float:
    """Forward, backward and an AdamW step with VG500's settings (K 2, gamma_neg 2); the loss."""
    names = [f"label {i}" for i in range(labels)]
    student = modeling.CoOccurrenceForImageClassification.from_timm(
        backbone, names, pretrained=False, image_size=image_size, graph_steps=2
    )
    if checkpointing:
        student.gradient_checkpointing_enable()
    method = Together(student, co_occurrence_objectives(CoOccurrenceLossConfig(gamma_neg=2.0), student))
    optimizer = torch.optim.AdamW(method.parameters(), lr=1e-4, weight_decay=1e-4)
    targets = (torch.rand(images, labels) < 0.03).float()
    loss = method(torch.randn(images, 3, image_size, image_size), targets)["loss"]
    loss.backward()
    optimizer.step()
    return loss.item()


if __name__ == "__main__":
    began = time.monotonic()
    found = step(sys.argv[1], *(int(value) for value in sys.argv[2:5]), checkpointing="checkpointing" in sys.argv)
    if not math.isfinite(found):
        raise ValueError(f"The loss is {found}.")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{peak:.3f} {time.monotonic() - began:.1f}")
