"""One CoCo training step at VG500's size on the CPU: prints the peak resident memory in GB and the seconds.

The head has its full width on the map of a 512 px image (2048 channels, 16 x 16), with 500 labels and K = 2; the
backbone is left out, for its memory is that of any classifier on it. Arguments: images, labels, channels, side.
"""

from __future__ import annotations

import resource
import sys
import time

import torch

from mlic_hf import modeling
from mlic_hf.methods.base import Method
from mlic_hf.methods.co_occurrence import CoOccurrenceConfig, co_occurrence_objectives
from mlic_hf.modeling.modeling_co_occurrence_mlic import CoOccurrenceHead
from tests.methods.co_occurrence.head_alone import HeadAlone


def step(images: int, labels: int, channels: int, side: int) -> float:
    """Forward, backward and an AdamW step; the loss."""
    config = modeling.CoOccurrenceConfig(num_labels=labels, graph_steps=2)
    head = CoOccurrenceHead(channels, config)
    student = HeadAlone(head, config, channels, modeling.CoOccurrenceOutput)
    method = Method(student, co_occurrence_objectives(CoOccurrenceConfig(gamma_neg=2.0), student))
    optimizer = torch.optim.AdamW(method.parameters(), lr=1e-4, weight_decay=1e-4)
    feature_map = torch.randn(images, channels, side, side).relu_().requires_grad_()
    targets = (torch.rand(images, labels) < 0.03).float()
    loss = method(feature_map, targets)["loss"]
    loss.backward()
    optimizer.step()
    return loss.item()


if __name__ == "__main__":
    began = time.monotonic()
    found = step(*(int(value) for value in sys.argv[1:5]))
    assert found == found
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{peak:.3f} {time.monotonic() - began:.1f}")
