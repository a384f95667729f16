"""A tiny random config of each family of vision encoders of transformers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import CONFIG_MAPPING, PretrainedConfig

from mlic_hf.modeling import ARCHITECTURES, MultiLabelModel
from tests.modeling.tiny_models import FIELDS, LABELS, SIZE

TOKENS = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 48}
PYRAMID = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}
WINDOWS = {"embed_dim": 8, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 2, 4], "window_size": 2, "drop_path_rate": 0.0}

# model_type -> fields
FAMILIES: dict[str, dict[str, Any]] = {
    "resnet": {"embedding_size": 8, "layer_type": "basic", **PYRAMID},
    "convnextv2": PYRAMID,
    "swin": {"image_size": SIZE, **WINDOWS},
    "swinv2": {"image_size": SIZE, **WINDOWS},
    "vit": {"image_size": SIZE, **TOKENS},
    "dinov2": {"image_size": 56, "patch_size": 14, "mlp_ratio": 2, **TOKENS},
    "dinov2_with_registers": {"image_size": 56, "patch_size": 14, "mlp_ratio": 2, **TOKENS},
    "dinov3_vit": {"image_size": SIZE, "num_register_tokens": 4, **TOKENS},
    "dinov3_convnext": PYRAMID,
    "siglip_vision_model": {"image_size": SIZE, **TOKENS},
    "siglip2_vision_model": {"num_patches": 16, **TOKENS},
    "clip_vision_model": {"image_size": SIZE, "patch_size": 16, **TOKENS},
    "mobilenet_v2": {"depth_multiplier": 0.25, "finegrained_output": True},
    "efficientnet": {"width_coefficient": 0.25, "depth_coefficient": 0.2, "hidden_dim": 320, "image_size": SIZE},
    "beit": {"image_size": SIZE, "use_relative_position_bias": True, "drop_path_rate": 0.0, **TOKENS},
}
FAST = ("resnet", "dinov2_with_registers")


def some_fast(families: Iterable[str]) -> list[Any]:
    """The families as parameters of a test, all but two of them slow."""
    return [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in families]


def tiny_config(family: str) -> PretrainedConfig:
    return CONFIG_MAPPING[family](**FAMILIES[family])


def spread(net: nn.Module) -> None:
    """Random values wherever a fresh network has ones or zeros, which would hide what a layer does."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point() and tensor.unique().numel() == 1:
                centre = 0.0 if name.endswith(("bias", "running_mean")) or tensor.max() == 0 else 1.0
                tensor.copy_(centre + 0.1 * torch.randn(tensor.shape, generator=generator))


def tiny_on(model_type: str, family: str, **fields: Any) -> MultiLabelModel:
    """An architecture on a random encoder of a family, in evaluation mode."""
    torch.manual_seed(0)
    wanted = {"image_size": SIZE, **FIELDS[model_type], **fields}
    model = ARCHITECTURES[model_type][1].from_backbone(tiny_config(family), LABELS, **wanted)
    spread(model.backbone)
    return model.eval()
