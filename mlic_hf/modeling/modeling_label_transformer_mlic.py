"""Label transformer: places and labels in one sequence, read off at the label positions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .attention_mlic import Attention, FeedForward, as_sequence
from .base_mlic import MultiLabelModel
from .configuration_label_transformer_mlic import LabelTransformerConfig
from .head_mlic import Head, HeadRequest
from .word_vectors_mlic import load_word_vectors


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


class LabelTransformerHead(Head):
    """Features and label vectors, brought to one width, attend to each other; one linear reads the labels.

    Shapes: feature map (B, D, h, w) -> logits (B, C), label embeddings (B, C, d).

    Attributes:
        word_vectors: (C, label_vector_size), a buffer when given, a parameter when learned.
    """

    label_rows = ("word_vectors",)
    word_vectors: Tensor

    def __init__(self, in_features: int, config: LabelTransformerConfig) -> None:
        super().__init__()
        self.learned = config.label_vectors == "learned"
        vectors = torch.empty(config.num_labels, config.label_vector_size)
        if self.learned:
            self.word_vectors = nn.Parameter(vectors)
        else:
            self.register_buffer("word_vectors", vectors)
        self.feature_projection = nn.Linear(in_features, config.width)
        self.word_projection = nn.Linear(config.label_vector_size, config.width)
        self.layers = nn.ModuleList(PreNormLayer(config) for _ in range(config.depth))
        self.classifier = nn.Linear(config.width, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.learned:
            nn.init.normal_(self.word_vectors)
        else:
            # word vectors that were never given must not pass for zeros
            nn.init.constant_(self.word_vectors, float("nan"))

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


class LabelTransformerForImageClassification(MultiLabelModel):
    """A timm backbone and a transformer over its places and the labels' word vectors (PSD's R101-TF).

    Shapes: pixel_values (B, 3, H, W) -> logits (B, C), label embeddings (B, C, d), attentions from the
    labels to the places, a layer (B, heads, C, h*w).
    """

    config_class: Any = LabelTransformerConfig
    provides = frozenset({"label_embeddings", "attentions"})
    label_inputs = ("word_vectors",)

    def build_head(self, config: LabelTransformerConfig) -> Head:
        return LabelTransformerHead(self.backbone.num_features, config)

    @classmethod
    def create(
        cls,
        labels: Sequence[str],
        word_vectors: Tensor | str | os.PathLike | None = None,
        **config_kwargs: Any,
    ) -> Any:
        """As `MultiLabelModel.create`, with the labels' word vectors, which `from_timm` and `from_backbone` take, too.

        Args:
            labels, **config_kwargs: as there.
            word_vectors: (C, n) one row a label, or the path of a GloVe text file from which the labels'
                vectors are read; they become a buffer. None for learned label vectors.

        Raises:
            ValueError: when `label_vectors="words"` comes without vectors, or they do not fit the labels.
        """
        if isinstance(word_vectors, (str, os.PathLike)):
            word_vectors = load_word_vectors(word_vectors, labels)
        if word_vectors is None:
            if config_kwargs.get("label_vectors") == "words":
                raise ValueError("label_vectors is 'words', but word_vectors is missing: pass a tensor or a file.")
            return super().create(labels, **config_kwargs)
        fields = {**config_kwargs, "label_vectors": "words", "label_vector_size": word_vectors.shape[-1]}
        model = super().create(labels, **fields)
        model.set_word_vectors(word_vectors)
        return model

    def set_labels(self, labels: Sequence[str], word_vectors: Tensor | str | os.PathLike | None = None) -> list[str]:
        """As `MultiLabelModel.set_labels`; with given word vectors, new labels need theirs.

        Args:
            labels: the label names, in the order of the logits.
            word_vectors: as in `from_timm`, one row a label.
        """
        words = self.config.label_vectors == "words"
        if isinstance(word_vectors, (str, os.PathLike)):
            word_vectors = load_word_vectors(word_vectors, labels)
        if word_vectors is not None and not words:
            raise ValueError("word_vectors were given, but this model's label vectors are learned; leave them out.")
        new = sorted(set(labels) - set(self.label_names))
        if words and new and word_vectors is None:
            raise ValueError(
                f"{len(new)} labels have no word vector, the first {new[0]!r}: pass word_vectors, a tensor with one "
                "row a label or a GloVe text file, or load with label_vectors='learned'."
            )
        anew = super().set_labels(labels)
        if word_vectors is None:
            return anew
        self.set_word_vectors(word_vectors)
        return []  # a label has nothing of its own but its vector

    def set_word_vectors(self, word_vectors: Tensor) -> None:
        """Fill the buffer with (C, n) vectors. Raises ValueError when shape or values do not fit."""
        own: Tensor = self.head.word_vectors
        if word_vectors.shape != own.shape or not torch.isfinite(word_vectors).all():
            raise ValueError(
                f"word_vectors has shape {tuple(word_vectors.shape)} for {tuple(own.shape)}, "
                "or is not finite; expected one finite row a label."
            )
        with torch.no_grad():
            own.copy_(word_vectors)
