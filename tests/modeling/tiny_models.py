"""Every architecture at a size that tests can afford."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mlic_hf.modeling import ARCHITECTURES, MultiLabelModel

LABELS = ["cat", "dog", "car", "tree", "sky"]
SIZE = 64
BACKBONES = ["resnet10t", "test_vit"]

FIELDS: dict[str, dict[str, Any]] = {
    "mlic_linear": {},
    "mlic_ml_decoder": {"width": 32, "num_heads": 4, "feed_forward_size": 48},
    "mlic_query2label": {"width": 32, "num_heads": 4, "feed_forward_size": 48},
    "mlic_label_transformer": {"width": 32, "label_vector_size": 12},
    "mlic_mulcon": {"width": 32, "projection_size": 8},
    "mlic_co_occurrence": {"num_heads": 4, "feed_forward_size": 48},
    "mlic_text_decoder": {"width": 32, "num_heads": 4, "feed_forward_size": 48, "label_vector_size": 12},
}
# what each architecture gives with output_label_embeddings
EMBEDDING_FIELDS: dict[str, tuple[str, ...]] = {
    "mlic_ml_decoder": ("label_embeddings",),
    "mlic_query2label": ("label_embeddings",),
    "mlic_label_transformer": ("label_embeddings",),
    "mlic_mulcon": ("label_embeddings", "projections"),
    "mlic_co_occurrence": ("label_embeddings", "co_occurrence", "graph_embeddings"),
    "mlic_text_decoder": ("label_embeddings",),
}


def tiny_model(model_type: str, backbone: str = "resnet10t", **fields: Any) -> MultiLabelModel:
    """A model in evaluation mode with random weights; batch norm is random, too."""
    model_class = ARCHITECTURES[model_type][1]
    wanted = {"image_size": SIZE, **FIELDS[model_type], **fields}
    model = model_class.from_timm(backbone, LABELS, pretrained=False, **wanted)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            # timm starts residual branches at zero, which would hide them
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return model.eval()


def pictures(batch: int = 2, size: int = SIZE) -> Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(5))


def targets(batch: int = 2) -> Tensor:
    rows = torch.zeros(batch, len(LABELS))
    rows[:, 0], rows[0, 2], rows[-1, 4] = 1, 1, -1
    return rows
