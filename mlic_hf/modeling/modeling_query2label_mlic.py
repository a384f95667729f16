"""Query2Label: a transformer whose decoder looks for each label in the map."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .attention_mlic import as_sequence
from .base_mlic import MultiLabelModel
from .configuration_query2label_mlic import Query2LabelConfig
from .head_mlic import Head, HeadRequest
from .sine_position_mlic import sine_position
from .transformer_mlic import DecoderLayer, EncoderLayer, LabelClassifier, query_rows


class Query2LabelHead(Head):
    """1x1 convolution, encoder over places, decoder over label queries, one linear a label.

    Shapes: feature map (B, D, h, w) -> logits (B, C), label embeddings (B, C, d).
    """

    label_rows = ("queries.weight", "classifier.linear.weight", "classifier.linear.bias")

    def __init__(self, in_features: int, config: Query2LabelConfig) -> None:
        super().__init__()
        sizes = (config.width, config.num_heads, config.feed_forward_size, config.dropout)
        first = {"none": config.decoder_layers, "after_first": 1, "all": 0}[config.decoder_self_attention]
        self.input_projection = nn.Conv2d(in_features, config.width, kernel_size=1)
        self.num_labels = config.num_labels
        self.queries = nn.Embedding(config.num_labels, config.width)
        self.encoder = nn.ModuleList(EncoderLayer(*sizes) for _ in range(config.encoder_layers))
        self.decoder = nn.ModuleList(
            DecoderLayer(*sizes, self_attention=layer >= first) for layer in range(config.decoder_layers)
        )
        self.decoder_norm = nn.LayerNorm(config.width)
        self.classifier = LabelClassifier(config.num_labels, config.width)

    def forward(self, feature_map: Tensor, request: HeadRequest) -> dict[str, object]:
        projected = self.input_projection(feature_map)
        height, width = projected.shape[-2:]
        position = sine_position(height, width, projected.shape[1], projected.device)
        position = as_sequence(position[None]).to(projected.dtype)
        memory = as_sequence(projected)
        for layer in self.encoder:
            memory = layer(memory, position, request.explicit)
        queries = query_rows(self.queries, feature_map, self.num_labels)
        target = torch.zeros_like(queries)
        attentions = []
        for layer in self.decoder:
            target, weights = layer(target, memory, queries, position, request.explicit)
            attentions.append(weights)
        embeddings = self.decoder_norm(target)
        return {
            "logits": self.classifier(embeddings),
            "label_embeddings": embeddings if request.label_embeddings else None,
            "attentions": tuple(attentions) if request.attentions else None,
        }


class Query2LabelForImageClassification(MultiLabelModel):
    """A timm backbone and a Query2Label transformer (Liu et al., 2021), as PSD trains it.

    Shapes: pixel_values (B, 3, H, W) -> logits (B, C), label embeddings (B, C, d), attentions a decoder layer
    (B, heads, C, h*w).
    """

    config_class: Any = Query2LabelConfig
    provides = frozenset({"label_embeddings", "attentions"})

    def build_head(self, config: Query2LabelConfig) -> Head:
        return Query2LabelHead(self.backbone.num_features, config)
