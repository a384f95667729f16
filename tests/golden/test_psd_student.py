"""The student's whole loss from part logits and two partitions, through the method's own code."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mlic_hf.methods.psd.config import PSDConfig
from mlic_hf.methods.psd.method import psd_objectives
from mlic_hf.methods.psd.part_teachers import PartTeachers
from mlic_hf.methods.psd.partition import Partition
from mlic_hf.methods.teachers import ModelTeacher
from mlic_hf.methods.views import PixelSpec
from mlic_hf.modeling.outputs_mlic import MultiLabelOutput
from tests.golden.cases import load, params
from tests.methods.together import Together

PIXELS = PixelSpec(1, (0.0,) * 3, (1.0,) * 3)


class Given(nn.Module):
    """A model that answers with given logits."""

    provides: frozenset[str] = frozenset()

    def __init__(self, logits: Tensor, names: list[str]) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.config = SimpleNamespace(id2label=dict(enumerate(names)), num_labels=len(names), image_size=1)
        pixels = {"mean": PIXELS.mean, "std": PIXELS.std, "interpolation": PIXELS.interpolation}
        self.backbone = SimpleNamespace(**pixels, stage_channels=[])

    def forward(self, pixel_values: Tensor, **asked: bool) -> Any:
        return MultiLabelOutput(logits=self.logits)


@pytest.mark.parametrize("name", params("psd_student"))
def test_loss_and_gradient(name: str) -> None:
    tensors, told = load(name)
    count = tensors["student"].shape[1]
    names = [f"label {i}" for i in range(count)]
    partitions, teachers = {}, {}
    for kind in ("cgp", "dgp"):
        parts = tuple(tuple(names[i] for i in part) for part in told[f"partition_{kind}"])
        partitions[kind] = Partition(kind, tuple(names), parts, None, 0, "spectral", "golden")
        teachers[kind] = [
            ModelTeacher(Given(tensors[f"teacher_{kind}.{number}"], list(part)), part)
            for number, part in enumerate(parts)
        ]
    config = PSDConfig(
        alpha=told["alpha"],
        divergence=told["metric"],
        temperature=told["temperature"],
        gamma_neg=told["asl"]["gamma_neg"],
        gamma_pos=told["asl"]["gamma_pos"],
        clip=told["asl"]["clip"],
    )
    student = Given(tensors["student"].clone(), names)
    method = Together(student, psd_objectives(config, student), PartTeachers(teachers, partitions, names), PIXELS)
    outputs = method(torch.zeros(len(tensors["student"]), 3, 1, 1), tensors["targets"].float())
    images = len(tensors["student"])  # the paper sums over the batch, the method divides by its images
    torch.testing.assert_close(outputs["loss"] * images, tensors["loss"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(outputs["asl"] * images, tensors["loss_classification"], rtol=1e-4, atol=1e-5)
    (outputs["loss"] * images).backward()
    torch.testing.assert_close(student.logits.grad, tensors["grad_student"], rtol=1e-4, atol=1e-5)
