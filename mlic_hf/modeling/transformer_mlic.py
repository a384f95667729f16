"""Post-norm transformer layers with optional positions, as DETR and its multi-label descendants use them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .attention_mlic import Attention, FeedForward


def with_position(x: Tensor, position: Tensor | None) -> Tensor:
    """x + position, or x."""
    return x if position is None else x + position


class EncoderLayer(GradientCheckpointingLayer):
    """Self-attention and feed-forward, each followed by dropout, residual and LayerNorm.

    Shapes: x (B, N, d), position (1 or B, N, d) or None, added to queries and keys -> (B, N, d).
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = Attention(width, heads, dropout=dropout)
        self.self_attention_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden, dropout)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, position: Tensor | None = None, need_weights: bool = False) -> Tensor:
        located = with_position(x, position)
        mixed, _ = self.self_attention(located, located, x, need_weights)
        x = self.self_attention_norm(x + self.dropout(mixed))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


class DecoderLayer(GradientCheckpointingLayer):
    """Self-attention between targets (optional), cross-attention to the memory, feed-forward; post-norm.

    Shapes: target (B, C, d), memory (B, N, d), query position (1 or B, C, d), memory position (1 or B, N, d)
    -> (B, C, d) and, when asked for, the cross-attention weights (B, heads, C, N).
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, self_attention: bool = True) -> None:
        super().__init__()
        self.self_attention = Attention(width, heads, dropout=dropout) if self_attention else None
        self.self_attention_norm = nn.LayerNorm(width) if self_attention else None
        self.cross_attention = Attention(width, heads, dropout=dropout)
        self.cross_attention_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden, dropout)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        target: Tensor,
        memory: Tensor,
        query_position: Tensor | None = None,
        memory_position: Tensor | None = None,
        need_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        x = target
        if self.self_attention is not None and self.self_attention_norm is not None:
            located = with_position(x, query_position)
            mixed, _ = self.self_attention(located, located, x, need_weights)
            x = self.self_attention_norm(x + self.dropout(mixed))
        found, weights = self.cross_attention(
            with_position(x, query_position), with_position(memory, memory_position), memory, need_weights
        )
        x = self.cross_attention_norm(x + self.dropout(found))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x))), weights


def query_rows(queries: nn.Module, feature_map: Tensor, labels: int) -> Tensor:
    """The query of every label for every image of a batch, by calling the embedding that holds them.

    Args:
        queries: an embedding of `labels` rows.
        feature_map: (B, D, h, w), for the number of images and the device.
        labels: C.

    Returns:
        (B, C, d), the same C rows for each image.
    """
    rows = queries(torch.arange(labels, device=feature_map.device))
    return rows.expand(feature_map.shape[0], -1, -1)


class LabelClassifier(nn.Module):
    """One weight vector and one bias a label.

    The linear layer is called, never its weight read, so that quantised layers, adapters and offloaded weights
    answer here, too. It gives every label's logit from every label's vector, of which the diagonal is wanted.

    Args:
        labels: number C of labels.
        width: width d of a label's vector.

    Shapes: (B, C, d) -> (B, C).
    """

    def __init__(self, labels: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, labels)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).diagonal(dim1=1, dim2=2)
