"""A training step of OASS, all cuts as one batch, against the loop over (image, label) pairs, in one run.

python -m benchmarks.object_aware [--quick] [--device cuda]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from typing import Any

import torch
from torch import Tensor

from mlic_hf.losses import soft_margin
from mlic_hf.methods.oass import OASSConfig, oass_objectives
from mlic_hf.modeling import LinearForImageClassification
from tests.methods.oass.per_pair import losses_by_pair
from tests.methods.together import Together

IMAGES, LABELS, SIDE = 16, 20, 224
#: on average three of the twenty labels are true
SHARE_TRUE = 0.15


def build(backbone: str, device: str) -> tuple[Any, Together, Tensor, Tensor]:
    torch.manual_seed(0)
    student = LinearForImageClassification.from_timm(
        backbone,
        [f"label {i}" for i in range(LABELS)],
        pretrained=False,
        image_size=SIDE,
        output_stride=16,
        class_maps_first=True,
        classifier_bias=False,
        freeze_batch_norm=True,
    )
    student.train().to(device)
    method = Together(student, oass_objectives(OASSConfig(), student)).to(device)
    method.progress = 1.0
    pixels = torch.randn(IMAGES, 3, SIDE, SIDE)
    labels = (torch.rand(IMAGES, LABELS) < SHARE_TRUE).float()
    return student, method, pixels.to(device), labels.to(device)


def loop_step(student: Any, averaged: Any, pixels: Tensor, labels: Tensor) -> Tensor:
    """The same loss, one pair at a time."""
    outputs = student(pixels, output_class_maps=True)
    partial, reconstruction = losses_by_pair(averaged, pixels, outputs.class_maps, labels)
    return soft_margin(outputs.logits, labels) + 0.5 * partial + 3.0 * reconstruction


def seconds(step: Any, device: str) -> tuple[float, float]:
    """Time of one step with its backward pass, and its loss.

    On the CPU the seconds that this process computed, which other work on the machine does not lengthen; it spends
    none of them waiting.
    """
    clock = time.perf_counter if device == "cuda" else time.process_time
    start = clock()
    loss = step()
    loss.backward()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - start, loss.item()


def section(quick: bool, device: str = "cpu", backbone: str = "resnet18") -> str:
    """The markdown section of docs/benchmarks.md about OASS's step."""
    student, method, pixels, labels = build(backbone, device)
    averaged = method.companions()["partial_class.averaged"]
    ours = lambda: method(pixels, labels)["loss"]  # noqa: E731
    loop = lambda: loop_step(student, averaged, pixels, labels)  # noqa: E731
    _, loss = seconds(ours, device)  # finds the chunk size
    _, same = seconds(loop, device)
    times: dict[Any, list[float]] = {ours: [], loop: []}
    for _ in range(2 if quick else 8):
        for step in times:
            times[step].append(seconds(step, device)[0])
    fast, slow = (min(found) for found in times.values())
    middle = [statistics.median(found) for found in times.values()]
    where = torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()} CPU"
    unit = "s" if device == "cuda" else "CPU s"
    chunk = method.objectives["reconstruction"].shared.chunk_size
    return "\n".join(
        [
            "## A step of OASS against the loop over pairs",
            "",
            f"Forward and backward of {backbone}, {IMAGES} images of {SIDE} px, {LABELS} labels, "
            f"{int(labels.sum())} (image, label) pairs, torch {torch.__version__}, {where}, "
            f"{torch.get_num_threads()} threads; turns taken alternately in one run. Measured chunk: {chunk} cuts. "
            f"Losses {loss:.5f} and {same:.5f}.",
            "",
            f"| | least {unit} | median {unit} |",
            "|---|---|---|",
            f"| loop over pairs | {slow:.3f} | {middle[1]:.3f} |",
            f"| all cuts as one batch | {fast:.3f} | {middle[0]:.3f} |",
            f"| ratio | {slow / fast:.2f}x | {middle[1] / middle[0]:.2f}x |",
            "",
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few repeats")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backbone", default="resnet18")
    options = parser.parse_args()
    sys.stdout.write(section(options.quick, options.device, options.backbone))
