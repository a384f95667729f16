"""Small students, teachers and batches for the tests of methods and training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mlic_hf.modeling import LinearForImageClassification, MLDecoderForImageClassification

NAMES = ["ant", "bee", "cat", "dog", "eel"]
SIZE = 32


def tiny_linear(seed: int = 0, names: list[str] = NAMES, **config: Any) -> LinearForImageClassification:
    torch.manual_seed(seed)
    return LinearForImageClassification.from_timm(
        "test_resnet", names, pretrained=False, image_size=config.pop("image_size", SIZE), **config
    )


def tiny_decoder(seed: int = 0, names: list[str] = NAMES, **config: Any) -> MLDecoderForImageClassification:
    torch.manual_seed(seed)
    options = {"width": 16, "num_heads": 2, "feed_forward_size": 32, "dropout": 0.0, "image_size": SIZE} | config
    return MLDecoderForImageClassification.from_timm("test_resnet", names, pretrained=False, **options)


def tiny_batch(images: int = 8, labels: int = len(NAMES), seed: int = 1) -> tuple[Tensor, Tensor]:
    """Pixels (B, 3, 32, 32) and labels (B, C) with positives, negatives and a few unknown cells."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(images, 3, SIZE, SIZE, generator=generator)
    targets = (torch.rand(images, labels, generator=generator) < 0.45).float()
    targets[torch.rand(images, labels, generator=generator) < 0.1] = -1.0
    return pixels, targets
