"""CoCo: label embeddings, a co-occurrence matrix predicted from them, and a gated graph network over it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .attention_mlic import as_sequence
from .base_mlic import MultiLabelModel
from .configuration_co_occurrence_mlic import CoOccurrenceConfig
from .head_mlic import Head, HeadRequest
from .outputs_mlic import CoOccurrenceOutput
from .transformer_mlic import DecoderLayer, EncoderLayer, LabelClassifier, query_rows


class GatedGraph(GradientCheckpointingLayer):
    """Gated graph network over the labels, without biases.

    M = W E; r = sigmoid(W1 M + U1 E); s = sigmoid(W2 M + U2 E); h = tanh(W3 M + U3 (s E));
    E <- (1 - r) E + r h, repeated `steps` times with the same weights.

    Shapes: embeddings E (B, C, D), edges W (B, C, C) -> (B, C, D).
    """

    def __init__(self, width: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.update_message = nn.Linear(width, width, bias=False)
        self.update_state = nn.Linear(width, width, bias=False)
        self.reset_message = nn.Linear(width, width, bias=False)
        self.reset_state = nn.Linear(width, width, bias=False)
        self.candidate_message = nn.Linear(width, width, bias=False)
        self.candidate_state = nn.Linear(width, width, bias=False)

    def forward(self, embeddings: Tensor, edges: Tensor) -> Tensor:
        state = embeddings
        for _ in range(self.steps):
            message = edges @ state
            update = torch.sigmoid(self.update_message(message) + self.update_state(state))
            reset = torch.sigmoid(self.reset_message(message) + self.reset_state(state))
            candidate = torch.tanh(self.candidate_message(message) + self.candidate_state(reset * state))
            state = (1 - update) * state + update * candidate
        return state


class CoOccurrenceHead(Head):
    """Transformer to label embeddings E, first classifier to W, graph network to G, classifier on [E, G].

    Shapes: feature map (B, D, h, w) -> logits (B, C), E (B, C, D), W (B, C, C), G (B, C, D); D is then `width`, if
    that is set.

    Attributes:
        graph: the graph network, `graph(E, W) -> G`, also for other edges than the predicted ones.
    """

    label_rows = (
        "queries.weight",
        "edge_classifier.weight",
        "edge_classifier.bias",
        "classifier.linear.weight",
        "classifier.linear.bias",
    )

    def __init__(self, in_features: int, config: CoOccurrenceConfig) -> None:
        super().__init__()
        width = config.width or in_features
        if width % config.num_heads != 0:
            raise ValueError(
                f"CoOccurrenceConfig.num_heads is {config.num_heads}, which does not divide the "
                f"{'width' if config.width else 'backbone'}'s {width} channels; choose a number of heads that does."
            )
        sizes = (width, config.num_heads, config.feed_forward_size, config.dropout)
        self.num_labels = config.num_labels
        self.input_projection = nn.Conv2d(in_features, width, kernel_size=1) if config.width else None
        self.queries = nn.Embedding(config.num_labels, width)
        self.encoder = nn.ModuleList(EncoderLayer(*sizes) for _ in range(config.encoder_layers))
        self.encoder_norm = nn.LayerNorm(width)
        self.decoder = nn.ModuleList(DecoderLayer(*sizes) for _ in range(config.decoder_layers))
        self.decoder_norm = nn.LayerNorm(width)
        self.edge_classifier = nn.Linear(2 * width, config.num_labels)
        self.graph = GatedGraph(width, config.graph_steps)
        self.classifier = LabelClassifier(config.num_labels, 2 * width)

    def edges(self, embeddings: Tensor, features: Tensor) -> Tensor:
        """The predicted co-occurrence matrix.

        Args:
            embeddings: E (B, C, D).
            features: the backbone's vectors X (B, N, D).

        Returns:
            W (B, C, C) in (0, 1): row c holds the confidences of all labels that label c proposes.
        """
        scene = features.mean(dim=1, keepdim=True).expand_as(embeddings)
        return torch.sigmoid(self.edge_classifier(torch.cat((embeddings, scene), dim=-1)))

    def forward(self, feature_map: Tensor, request: HeadRequest) -> dict[str, object]:
        features = as_sequence(feature_map if self.input_projection is None else self.input_projection(feature_map))
        memory = features
        for layer in self.encoder:
            memory = layer(memory, need_weights=request.explicit)
        memory = self.encoder_norm(memory)
        target = query_rows(self.queries, feature_map, self.num_labels)
        attentions = []
        for layer in self.decoder:
            target, weights = layer(target, memory, need_weights=request.explicit)
            attentions.append(weights)
        embeddings = self.decoder_norm(target)
        edges = self.edges(embeddings, features)
        graph_embeddings = self.graph(embeddings, edges)
        given = request.label_embeddings
        return {
            "logits": self.classifier(torch.cat((embeddings, graph_embeddings), dim=-1)),
            "label_embeddings": embeddings if given else None,
            "co_occurrence": edges if given else None,
            "graph_embeddings": graph_embeddings if given else None,
            "attentions": tuple(attentions) if request.attentions else None,
        }


class CoOccurrenceForImageClassification(MultiLabelModel):
    """A timm backbone and CoCo's transformer and gated graph network.

    Shapes: pixel_values (B, 3, H, W) -> logits (B, C); with `output_label_embeddings` E (B, C, D), the
    co-occurrence matrix W (B, C, C) and the graph embeddings G (B, C, D); attentions (B, heads, C, h*w).
    Paper: contrastive co-occurrence learning (method key `co_occurrence`).
    """

    config_class: Any = CoOccurrenceConfig
    output_class = CoOccurrenceOutput
    provides = frozenset({"label_embeddings", "co_occurrence", "graph_embeddings", "attentions"})

    def build_head(self, config: CoOccurrenceConfig) -> Head:
        return CoOccurrenceHead(self.backbone.num_features, config)
