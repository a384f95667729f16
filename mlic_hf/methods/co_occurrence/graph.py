"""A co-occurrence graph for models that have label embeddings but no graph of their own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mlic_hf.modeling.modeling_co_occurrence_mlic import GatedGraph


class LabelGraph(nn.Module):
    """Predicted co-occurrence and the gated graph network over it, as in CoCo.

    Differs: each label's row proposes confidences from its own embedding alone, without the image's mean
    vector, so that any model with label embeddings can borrow the contrast; the logits stay the model's own.

    Args:
        embedding_size: width d of a label embedding.
        num_labels: C.
        steps: K of the graph network.
    """

    def __init__(self, embedding_size: int, num_labels: int, steps: int) -> None:
        super().__init__()
        self.proposals = nn.Linear(embedding_size, num_labels)
        self.graph = GatedGraph(embedding_size, steps)

    def forward(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, d) label embeddings to edges W (B, C, C) in (0, 1) and graph embeddings G (B, C, d)."""
        edges = torch.sigmoid(self.proposals(embeddings))
        return edges, self.graph(embeddings, edges)
