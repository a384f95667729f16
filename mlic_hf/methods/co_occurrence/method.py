"""CoCo's objectives: the scaled asymmetric loss, and the contrast of views of the co-occurrence graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mlic_hf import losses
from mlic_hf.methods.base import MethodBatch, Objective, Weighted, known_images
from mlic_hf.methods.co_occurrence.config import CoOccurrenceLossConfig
from mlic_hf.methods.co_occurrence.graph import LabelGraph
from mlic_hf.methods.mulcon.embedding_size import label_embedding_size


class ScaledAsymmetricLoss(Objective):
    """The asymmetric loss, its mean over all known cells of the batch times `scale` (1000 in the paper)."""

    name = "asl"
    takes_soft_labels = True

    def __init__(self, gamma_neg: float, gamma_pos: float, clip: float, eps: float, scale: float) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {
            "gamma_neg": gamma_neg,
            "gamma_pos": gamma_pos,
            "clip": clip,
            "eps": eps,
        }
        self.scale = scale

    def count(self, labels: Tensor) -> Tensor | None:
        return (labels >= 0).sum()

    def forward(self, batch: MethodBatch) -> Tensor:
        logits = batch.student.logits
        return self.scale * losses.asymmetric_loss(logits, batch.labels, **self.settings, reduction="sum")


class GraphContrast(Objective):
    """For each true label of an image, its graph embedding (anchor) against two views of the same graph.

    The positive view keeps the predicted edges between true labels, the negative view all others; the other
    true labels of the image are negatives too. Mean over an image's true labels, then over images; an image
    without a true label adds 0 and counts.

    Args:
        tau: temperature.
        graph: makes the graph of label embeddings, for a model that has none itself.
        normalize: contrast embeddings of unit length, whose products are cosines; the paper's are not normalised, and
            grow with the width.
    """

    name = "graph_contrast"
    needs = frozenset({"label_embeddings"})

    def __init__(self, tau: float = 1.0, graph: LabelGraph | None = None, normalize: bool = False) -> None:
        super().__init__()
        self.tau = tau
        self.normalize = normalize
        self.graph = graph

    def count(self, labels: Tensor) -> Tensor | None:
        return known_images(labels)

    def forward(self, batch: MethodBatch) -> Tensor:
        embeddings = batch.student.label_embeddings
        model: Any = batch.model
        if self.graph is None:
            propagate = model.head.graph
            edges, anchors = batch.student.co_occurrence, batch.student.graph_embeddings
        else:
            propagate = self.graph.graph
            edges, anchors = self.graph(embeddings)
        with torch.no_grad():  # both views teach; only the anchors learn
            inside, outside = losses.true_label_edges(edges.detach(), batch.labels)
            positive = propagate(embeddings.detach(), inside)
            negative = propagate(embeddings.detach(), outside)
        if self.normalize:
            anchors, positive, negative = (F.normalize(rows.float(), dim=-1) for rows in (anchors, positive, negative))
        return losses.co_occurrence_contrast(
            anchors, positive, negative, batch.labels, temperature=self.tau, reduction="sum"
        )


def co_occurrence_objectives(config: CoOccurrenceLossConfig, student: Any, teacher: Any = None) -> Sequence[Weighted]:
    """The asymmetric loss and, unless its weight is 0, the contrast.

    Raises:
        ValueError: if the contrast is asked of a model without label embeddings.
    """
    loss = ScaledAsymmetricLoss(config.gamma_neg, config.gamma_pos, config.clip, config.eps, config.scale)
    found = [Weighted(loss, 1.0, per_image=False)]
    if config.weight_contrast:
        graph = None
        if not hasattr(student.head, "graph"):
            graph = LabelGraph(label_embedding_size(student), student.config.num_labels, config.graph_steps)
        found.append(
            Weighted(GraphContrast(config.tau, graph, config.normalize), config.weight_contrast, per_image=False)
        )
    return found
