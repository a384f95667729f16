"""ML-Decoder: cross-attention from fixed queries to the feature map, one query a label or label group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .attention_mlic import Attention, FeedForward, as_sequence
from .base_mlic import MultiLabelModel
from .configuration_ml_decoder_mlic import MLDecoderConfig
from .head_mlic import Head, HeadRequest
from .outputs_mlic import MLDecoderOutput


class MLDecoderLayer(GradientCheckpointingLayer):
    """One decoder layer without self-attention between queries; post-norm.

    Shapes: queries (B, G, d), memory (B, N, d) -> (B, G, d).
    """

    def __init__(self, config: MLDecoderConfig) -> None:
        super().__init__()
        width = config.width
        self.query_norm = nn.LayerNorm(width)
        self.attention = Attention(width, config.num_heads, dropout=config.dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, config.feed_forward_size, config.dropout)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, queries: Tensor, memory: Tensor, need_weights: bool) -> tuple[Tensor, Tensor | None]:
        queries = self.query_norm(queries + self.dropout(queries))
        found, weights = self.attention(queries, memory, memory, need_weights)
        x = self.attention_norm(queries + self.dropout(found))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x))), weights


class GroupClassifier(nn.Module):
    """Every group's embedding to the logits of its own labels.

    Args:
        groups: number G of groups.
        width: width d of an embedding.
        labels: number C of labels; group g answers for labels g*k to g*k + k - 1, k = ceil(C / G).
    """

    def __init__(self, groups: int, width: int, labels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(groups, width, -(-labels // groups)))
        self.bias = nn.Parameter(torch.empty(labels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.xavier_normal_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, embeddings: Tensor) -> Tensor:
        """(B, G, d) -> (B, C)."""
        logits = torch.einsum("bgd,gdk->bgk", embeddings, self.weight).flatten(1)
        return logits[:, : self.bias.shape[0]] + self.bias


class MLDecoderHead(Head):
    """Linear + ReLU on the map, one decoder layer over fixed random queries, a linear layer a group.

    Shapes: feature map (B, D, h, w) -> logits (B, C), embeddings (B, G, d).
    """

    queries: Tensor

    def __init__(self, in_features: int, config: MLDecoderConfig) -> None:
        super().__init__()
        self.one_a_label = config.groups == config.num_labels
        if self.one_a_label:
            self.label_rows = ("queries", "classifier.weight", "classifier.bias")
        self.input_projection = nn.Linear(in_features, config.width)
        self.register_buffer("queries", torch.empty(config.groups, config.width))
        self.layer = MLDecoderLayer(config)
        self.classifier = GroupClassifier(config.groups, config.width, config.num_labels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        # drawn once and never trained; saved with the model
        nn.init.normal_(self.queries)

    @torch.no_grad()
    def take_labels(self, old: Head, own: Sequence[int], theirs: Sequence[int]) -> list[int]:
        """As `Head.take_labels`; a group has one query, so only labels whose group stays can be taken."""
        if self.one_a_label and old.one_a_label:
            return super().take_labels(old, own, theirs)
        new, known = self.classifier, cast(MLDecoderHead, old).classifier
        given = old.state_dict()
        for name, tensor in self.state_dict().items():
            if not name.startswith("classifier."):
                tensor.copy_(given[name])
        size, old_size = new.weight.shape[2], known.weight.shape[2]
        taken = [(own_place, place) for own_place, place in zip(own, theirs) if own_place // size == place // old_size]
        for label, place in taken:
            group = label // size
            new.weight[group, :, label % size] = known.weight[group, :, place % old_size]
            new.bias[label] = known.bias[place]
        return [label for label, _ in taken]

    def forward(self, feature_map: Tensor, request: HeadRequest) -> dict[str, object]:
        memory = torch.relu(self.input_projection(as_sequence(feature_map)))
        queries = self.queries.to(memory.dtype).expand(memory.shape[0], -1, -1)
        embeddings, weights = self.layer(queries, memory, request.explicit)
        fields: dict[str, object] = {"logits": self.classifier(embeddings)}
        if request.label_embeddings:
            fields["label_embeddings" if self.one_a_label else "group_embeddings"] = embeddings
        if request.attentions:
            fields["attentions"] = (weights,)
        return fields


class MLDecoderForImageClassification(MultiLabelModel):
    """A timm backbone and an ML-Decoder (Ridnik et al., 2023), the model of L2D.

    Shapes: pixel_values (B, 3, H, W) -> logits (B, C). With one group a label,
    `output_label_embeddings` gives `label_embeddings` (B, C, d); with fewer, `group_embeddings` (B, G, d).
    """

    config_class: Any = MLDecoderConfig
    output_class = MLDecoderOutput

    def build_head(self, config: MLDecoderConfig) -> Head:
        head = MLDecoderHead(self.backbone.num_features, config)
        self.provides = frozenset({"attentions", "label_embeddings" if head.one_a_label else "group_embeddings"})
        return head
