"""What the models return, and the one loss they carry themselves."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.utils import ModelOutput


@dataclass
class MultiLabelOutput(ModelOutput):
    """Outputs of every architecture; a field is None unless it was asked for.

    B images, C labels, d the width of a label embedding, D the channels of the feature map.

    Attributes:
        loss: scalar, mean binary cross-entropy over the known cells; only with `labels`.
        logits: (B, C).
        label_embeddings: (B, C, d), one vector a label.
        feature_map: (B, D, h, w), what the head reads.
        stage_maps: the backbone's stages, fine to coarse, each (B, D_s, h_s, w_s).
        hidden_states: the stages under the name that transformers gives them.
        attentions: one (B, heads, queries, h*w) tensor a cross-attention layer.
        class_maps: (B, C, h, w); their spatial mean is the logits.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    label_embeddings: Tensor | None = None
    feature_map: Tensor | None = None
    stage_maps: tuple[Tensor, ...] | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    class_maps: Tensor | None = None


@dataclass
class MLDecoderOutput(MultiLabelOutput):
    """Adds `group_embeddings` (B, G, d), instead of `label_embeddings` when groups hold several labels."""

    group_embeddings: Tensor | None = None


@dataclass
class MulConOutput(MultiLabelOutput):
    """Adds `projections` (B, C, p), of unit length; they come with the label embeddings."""

    projections: Tensor | None = None


@dataclass
class CoOccurrenceOutput(MultiLabelOutput):
    """Adds `co_occurrence` W (B, C, C) and `graph_embeddings` G (B, C, D), with the label embeddings."""

    co_occurrence: Tensor | None = None
    graph_embeddings: Tensor | None = None


def known_cell_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy over the cells whose label is known.

    Args:
        logits: (B, C).
        labels: (B, C) in {1, 0, -1}; cells with -1 take no part.

    Returns:
        A float32 scalar; 0 with its graph when no cell is known.

    Raises:
        ValueError: when the shapes differ.
    """
    if labels.shape != logits.shape:
        raise ValueError(
            f"labels has shape {tuple(labels.shape)}, but the logits have shape {tuple(logits.shape)}. "
            "Pass one multi-hot row an image, in the model's own label order."
        )
    targets = labels.to(device=logits.device, dtype=torch.float32)
    known = (targets >= 0).float()
    cells = F.binary_cross_entropy_with_logits(logits.float(), targets.clamp(min=0), reduction="none")
    return (cells * known).sum() / known.sum().clamp(min=1.0)
