"""The smallest model of every architecture, on a timm backbone of a few channels."""

from __future__ import annotations

from typing import Any

import torch

from mlic_hf.modeling import ARCHITECTURES, MultiLabelModel

LABELS = ["cat", "dog", "zebra"]
FIELDS: dict[str, dict[str, Any]] = {
    "mlic_linear": {},
    "mlic_ml_decoder": {"width": 16, "num_heads": 2, "feed_forward_size": 32},
    "mlic_query2label": {"width": 16, "num_heads": 2, "feed_forward_size": 32},
    "mlic_label_transformer": {"width": 16, "num_heads": 2, "head_width": 8, "label_vector_size": 5},
    "mlic_mulcon": {"width": 16, "num_heads": 2, "projection_size": 8},
    "mlic_co_occurrence": {"num_heads": 2, "feed_forward_size": 32, "graph_steps": 2},
    "mlic_text_decoder": {"width": 16, "num_heads": 2, "feed_forward_size": 32, "label_vector_size": 5},
}


def tiny_model(model_type: str, **fields: Any) -> MultiLabelModel:
    """A random model of an architecture, 64 px, three labels, in evaluation mode."""
    torch.manual_seed(0)
    given = {"image_size": 64, "thresholds": [0.25, 0.5, 0.75], **FIELDS[model_type], **fields}
    if "label_vector_size" in given:
        given["word_vectors"] = torch.randn(len(LABELS), given.pop("label_vector_size"))
    model = ARCHITECTURES[model_type][1].from_timm("test_resnet", LABELS, pretrained=False, **given)
    return model.eval()
