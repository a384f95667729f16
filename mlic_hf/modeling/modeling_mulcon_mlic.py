"""MulCon: label-level attention to the map, a linear a label, projections for the contrastive loss."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .attention_mlic import as_sequence, scaled_attention, split_heads
from .base_mlic import MultiLabelModel
from .configuration_mulcon_mlic import MulConConfig
from .head_mlic import Head, HeadRequest
from .outputs_mlic import MulConOutput
from .transformer_mlic import LabelClassifier


class SetAttention(GradientCheckpointingLayer):
    """Attention block of the Set Transformer (Lee et al., 2019), as MulCon uses it.

    O = Q + softmax(Q K^T / sqrt(width)) V with heads side by side; LayerNorm; O + ReLU(linear(O)); LayerNorm.
    The scale is the root of the full width, not of a head's.

    Shapes: query (B, N, query_width), key (B, M, key_width) -> (B, N, width) and the weights
    (B, heads, N, M) or None.
    """

    def __init__(self, query_width: int, key_width: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = width**-0.5
        self.query = nn.Linear(query_width, width)
        self.key = nn.Linear(key_width, width)
        self.value = nn.Linear(key_width, width)
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Linear(width, width)
        self.feed_forward_norm = nn.LayerNorm(width)

    def forward(self, query: Tensor, key: Tensor, need_weights: bool = False) -> tuple[Tensor, Tensor | None]:
        projected = self.query(query)
        mixed, weights = scaled_attention(
            split_heads(projected, self.heads),
            split_heads(self.key(key), self.heads),
            split_heads(self.value(key), self.heads),
            scale=self.scale,
            need_weights=need_weights,
        )
        x = self.attention_norm(projected + mixed)
        return self.feed_forward_norm(x + torch.relu(self.feed_forward(x))), weights


class Projector(nn.Module):
    """Linear, ReLU, linear, to unit length: (B, C, d) -> (B, C, p)."""

    def __init__(self, width: int, projection_size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.output = nn.Linear(width, projection_size)

    def forward(self, embeddings: Tensor) -> Tensor:
        return F.normalize(self.output(torch.relu(self.hidden(embeddings))), dim=-1)


class MulConHead(Head):
    """Self-attention over places, cross-attention from label queries, self-attention over labels.

    Shapes: feature map (B, D, h, w) -> logits (B, C), label embeddings (B, C, d), projections (B, C, p).
    """

    label_rows = ("queries", "classifier.linear.weight", "classifier.linear.bias")

    def __init__(self, in_features: int, config: MulConConfig) -> None:
        super().__init__()
        if in_features % config.num_heads != 0:
            raise ValueError(
                f"MulConConfig.num_heads is {config.num_heads}, which does not divide the backbone's "
                f"{in_features} channels; choose a number of heads that does."
            )
        heads, width = config.num_heads, config.width
        self.feature_blocks = nn.ModuleList(
            SetAttention(in_features, in_features, in_features, heads) for _ in range(config.feature_blocks)
        )
        self.queries = nn.Parameter(torch.empty(config.num_labels, width))
        self.label_attention = SetAttention(width, in_features, width, heads)
        self.label_blocks = nn.ModuleList(SetAttention(width, width, width, heads) for _ in range(config.label_blocks))
        self.classifier = LabelClassifier(config.num_labels, width)
        self.projector = Projector(width, config.projection_size)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.queries)

    def forward(self, feature_map: Tensor, request: HeadRequest) -> dict[str, object]:
        memory = as_sequence(feature_map)
        for block in self.feature_blocks:
            memory, _ = block(memory, memory, request.explicit)
        queries = self.queries.expand(memory.shape[0], -1, -1)
        embeddings, weights = self.label_attention(queries, memory, request.explicit)
        for block in self.label_blocks:
            embeddings, _ = block(embeddings, embeddings, request.explicit)
        return {
            "logits": self.classifier(embeddings),
            "label_embeddings": embeddings if request.label_embeddings else None,
            "projections": self.projector(embeddings) if request.label_embeddings else None,
            "attentions": (weights,) if request.attentions else None,
        }


class MulConForImageClassification(MultiLabelModel):
    """A timm backbone and MulCon's label-level attention (Dao et al., 2021).

    Shapes: pixel_values (B, 3, H, W) -> logits (B, C); with `output_label_embeddings` label embeddings
    (B, C, d) and unit projections (B, C, p); attentions (B, heads, C, h*w).
    """

    config_class: Any = MulConConfig
    output_class = MulConOutput
    provides = frozenset({"label_embeddings", "projections", "attentions"})

    def build_head(self, config: MulConConfig) -> Head:
        return MulConHead(self.backbone.num_features, config)
