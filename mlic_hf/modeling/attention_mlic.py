"""Multi-head attention with separate projections; the fused kernel unless the weights are asked for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, N, heads * k) -> (B, heads, N, k)."""
    return x.unflatten(2, (heads, x.shape[2] // heads)).transpose(1, 2)


def scaled_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    dropout: float = 0.0,
    need_weights: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """softmax(scale * Q K^T) V.

    Args:
        query, key, value: (B, heads, N, k), (B, heads, M, k), (B, heads, M, k).
        scale: factor on the scores.
        dropout: probability of dropping an attention weight (0 outside training).
        need_weights: also return the weights, which needs the explicit computation.

    Returns:
        (B, N, heads * k), and the weights (B, heads, N, M) or None.
    """
    weights = None
    if need_weights:
        weights = torch.softmax(query @ key.transpose(-2, -1) * scale, dim=-1)
        mixed = F.dropout(weights, dropout) @ value
    else:
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scale)
    return mixed.transpose(1, 2).flatten(2), weights


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al., 2017).

    Args:
        width: width of query, key, value inputs and of the output.
        heads: number of heads.
        head_width: width of one head; `width / heads` by default.
        dropout: on the attention weights.
        projection_bias: whether the query, key and value projections have a bias.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        head_width: int | None = None,
        dropout: float = 0.0,
        projection_bias: bool = True,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.head_width = head_width or width // heads
        self.dropout = dropout
        inner = heads * self.head_width
        self.query = nn.Linear(width, inner, bias=projection_bias)
        self.key = nn.Linear(width, inner, bias=projection_bias)
        self.value = nn.Linear(width, inner, bias=projection_bias)
        self.output = nn.Linear(inner, width)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """(B, N, d), (B, M, d), (B, M, d) -> (B, N, d) and the weights (B, heads, N, M) or None."""
        mixed, weights = scaled_attention(
            split_heads(self.query(query), self.heads),
            split_heads(self.key(key), self.heads),
            split_heads(self.value(value), self.heads),
            scale=self.head_width**-0.5,
            dropout=self.dropout if self.training else 0.0,
            need_weights=need_weights,
        )
        return self.output(mixed), weights


class FeedForward(nn.Module):
    """Two linear layers with an activation between.

    Args:
        width: width of input and output.
        hidden: width between.
        dropout: after the activation.
        activation: "relu" or "gelu".
    """

    def __init__(self, width: int, hidden: int, dropout: float = 0.0, activation: str = "relu") -> None:
        super().__init__()
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        self.activation = nn.GELU() if activation == "gelu" else nn.ReLU()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        return self.contract(self.dropout(self.activation(self.expand(x))))


def as_sequence(feature_map: Tensor) -> Tensor:
    """(B, D, h, w) -> (B, h*w, D), row by row."""
    return feature_map.flatten(2).transpose(1, 2)
