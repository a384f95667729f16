"""Tiny models with class maps, and batches as the objectives see them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mlic_hf.methods.base import MethodBatch
from tests.methods.mulcon.models import random_batch, tiny

FIELDS = {"class_maps_first": True, "classifier_bias": False}


def student_of(stride: int = 16, **fields: Any) -> Any:
    """A model whose maps have 64 / stride cells a side; evaluation mode."""
    return tiny("Linear", output_stride=stride, **FIELDS, **fields).eval()


def seen(student: Any, labels: Tensor, side: int = 64, progress: float = 1.0) -> MethodBatch:
    """A batch of random pictures that the student has looked at."""
    pixels = torch.randn(len(labels), 3, side, side, generator=torch.Generator().manual_seed(3))
    return MethodBatch(pixels, labels, student(pixels, output_class_maps=True), student, progress=progress)


def some_labels(images: int = 4) -> Tensor:
    """Images with one, many, no and unknown labels."""
    labels = random_batch(images, two_views=False)["labels"]
    labels[0] = torch.tensor([0, 0, 1.0, 0, 0, 0])
    labels[1] = 0
    return labels
