"""ML-Decoder whose queries are vectors of the labels' texts: labels that it never saw are one more query."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention_mlic import as_sequence
from .configuration_text_decoder_mlic import TextDecoderConfig
from .head_mlic import Head, HeadRequest
from .modeling_ml_decoder_mlic import MLDecoderLayer
from .word_vector_model_mlic import WordVectorHead, WordVectorModel


class TextDecoderHead(WordVectorHead):
    """ML-Decoder's layer over projected label vectors of unit length; one linear reads all labels.

    Shapes: feature map (B, D, h, w) -> logits (B, C), label embeddings (B, C, d). Labels do not see each other,
    and nothing but its vector belongs to a label.
    """

    def __init__(self, in_features: int, config: TextDecoderConfig) -> None:
        super().__init__(config)
        self.labels_per_step = config.labels_per_step
        self.input_projection = nn.Linear(in_features, config.width)
        self.query_projection = nn.Linear(config.label_vector_size, config.width, bias=False)
        self.layer = MLDecoderLayer(config)
        self.classifier = nn.Linear(config.width, 1)

    def forward(self, feature_map: Tensor, request: HeadRequest) -> dict[str, object]:
        memory = torch.relu(self.input_projection(as_sequence(feature_map)))
        vectors = self.word_vectors
        labels, some = len(vectors), self.labels_per_step
        whole = not self.training or some is None or some >= labels or request.label_embeddings or request.attentions
        chosen = None if whole else torch.randperm(labels, device=vectors.device)[:some]
        if chosen is not None:
            vectors = vectors[chosen]
        queries = self.query_projection(F.normalize(vectors.to(memory.dtype), dim=1))
        embeddings, weights = self.layer(queries.expand(memory.shape[0], -1, -1), memory, request.explicit)
        logits = self.classifier(embeddings).squeeze(-1)
        return {
            "logits": logits if chosen is None else spread_out(logits, chosen, labels),
            "label_embeddings": embeddings if request.label_embeddings else None,
            "attentions": (weights,) if request.attentions else None,
        }


def spread_out(logits: Tensor, chosen: Tensor, labels: int) -> Tensor:
    """Logits of the chosen labels at their places among all, 0 without gradient elsewhere.

    The gradient is multiplied by C / k, so that with labels drawn at random its expectation is that of all labels,
    for any loss that is a sum over labels.

    Args:
        logits: (B, k).
        chosen: (k,) places.
        labels: their number C.

    Returns:
        (B, C).
    """
    factor = labels / logits.shape[1]
    scaled = factor * logits - (factor - 1) * logits.detach()
    return scaled.new_zeros(scaled.shape[0], labels).index_copy(1, chosen, scaled)


class TextDecoderForImageClassification(WordVectorModel):
    """A backbone and an ML-Decoder with text queries (Ridnik et al., 2023, their zero-shot variant).

    `set_labels(names, vectors)` makes it answer for labels that it was never trained on.

    Shapes: pixel_values (B, 3, H, W) -> logits (B, C), label embeddings (B, C, d), attentions (B, heads, C, h*w).
    """

    config_class: Any = TextDecoderConfig
    provides = frozenset({"label_embeddings", "attentions"})

    def build_head(self, config: TextDecoderConfig) -> Head:
        return TextDecoderHead(self.backbone.num_features, config)
