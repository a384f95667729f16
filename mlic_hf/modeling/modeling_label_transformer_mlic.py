"""Label transformer: places and labels in one sequence, read off at the label positions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .attention_mlic import Attention, FeedForward, as_sequence
from .configuration_label_transformer_mlic import LabelTransformerConfig
from .head_mlic import Head, HeadRequest
from .word_vector_model_mlic import WordVectorHead, WordVectorModel


class PreNormLayer(GradientCheckpointingLayer):
    """x + attention(norm(x)), then x + feed_forward(norm(x)).

    Shapes: (B, N, d) -> (B, N, d) and, when asked for, the weights (B, heads, N, N).
    """

    def __init__(self, config: LabelTransformerConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        self.attention = Attention(
            config.width, config.num_heads, config.head_width, config.dropout, projection_bias=False
        )
        self.feed_forward_norm = nn.LayerNorm(config.width)
        self.feed_forward = FeedForward(config.width, config.feed_forward_size, config.dropout, "gelu")
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, need_weights: bool) -> tuple[Tensor, Tensor | None]:
        normed = self.attention_norm(x)
        mixed, weights = self.attention(normed, normed, normed, need_weights)
        x = x + self.dropout(mixed)
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x))), weights


class LabelTransformerHead(WordVectorHead):
    """Features and label vectors, brought to one width, attend to each other; one linear reads the labels.

    Shapes: feature map (B, D, h, w) -> logits (B, C), label embeddings (B, C, d).
    """

    def __init__(self, in_features: int, config: LabelTransformerConfig) -> None:
        super().__init__(config)
        self.feature_projection = nn.Linear(in_features, config.width)
        self.word_projection = nn.Linear(config.label_vector_size, config.width)
        self.layers = nn.ModuleList(PreNormLayer(config) for _ in range(config.depth))
        self.classifier = nn.Linear(config.width, 1)

    def forward(self, feature_map: Tensor, request: HeadRequest) -> dict[str, object]:
        features = self.feature_projection(as_sequence(feature_map))
        words = torch.relu(self.word_projection(self.word_vectors.to(features.dtype)))
        places, labels = features.shape[1], words.shape[0]
        x = torch.cat((features, words.expand(features.shape[0], -1, -1)), dim=1)
        attentions = []
        for layer in self.layers:
            x, weights = layer(x, request.explicit)
            if request.attentions:
                attentions.append(weights[:, :, places:, :places])
        embeddings = x[:, places : places + labels]
        return {
            "logits": self.classifier(embeddings).squeeze(-1),
            "label_embeddings": embeddings if request.label_embeddings else None,
            "attentions": tuple(attentions) if request.attentions else None,
        }


class LabelTransformerForImageClassification(WordVectorModel):
    """A timm backbone and a transformer over its places and the labels' word vectors (PSD's R101-TF).

    Shapes: pixel_values (B, 3, H, W) -> logits (B, C), label embeddings (B, C, d), attentions from the
    labels to the places, a layer (B, heads, C, h*w).
    """

    config_class: Any = LabelTransformerConfig
    provides = frozenset({"label_embeddings", "attentions"})

    def build_head(self, config: LabelTransformerConfig) -> Head:
        return LabelTransformerHead(self.backbone.num_features, config)
