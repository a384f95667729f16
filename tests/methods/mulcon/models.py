"""Tiny models on a tiny backbone, and batches for them, as the tests of the contrastive methods use them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mlic_hf import modeling

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox")
BACKBONE = "test_resnet"
IMAGE_SIZE = 64


def tiny(architecture: str, labels: tuple[str, ...] = NAMES, **options: Any) -> Any:
    """A model of an architecture with random weights, always the same ones."""
    torch.manual_seed(7)
    return getattr(modeling, f"{architecture}ForImageClassification").from_timm(
        BACKBONE, list(labels), pretrained=False, image_size=IMAGE_SIZE, **options
    )


def random_batch(images: int, seed: int = 0, two_views: bool = True, labels: int = len(NAMES)) -> dict[str, Tensor]:
    """Random pixels and labels; about a third of the cells positive, a few unknown."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.rand(images, labels, generator=generator)
    targets = (chosen < 0.4).float()
    targets[chosen > 0.95] = -1.0
    shape = (images, 3, IMAGE_SIZE, IMAGE_SIZE)
    batch = {"pixel_values": torch.randn(shape, generator=generator), "labels": targets}
    if two_views:
        batch["second_view"] = torch.randn(shape, generator=generator)
    return batch
