"""How wide a model's label embeddings are, for the parts that a borrowed contrast adds to it."""

from __future__ import annotations

from typing import Any

import torch

from mlic_hf.modeling.base_mlic import HeadRequest


@torch.no_grad()
def label_embedding_size(student: Any) -> int:
    """The width d of a model's label embeddings (B, C, d), found by showing its head one small empty map.

    Raises:
        ValueError: if the model gives no embedding of each label.
    """
    head = student.head
    training = head.training
    weight = next(head.parameters())
    empty = torch.zeros(1, student.backbone.num_features, 2, 2, device=weight.device, dtype=weight.dtype)
    head.eval()
    try:
        embeddings = head(empty, HeadRequest(label_embeddings=True)).get("label_embeddings")
    finally:
        head.train(training)
    if embeddings is None:
        raise ValueError(
            f"The contrast compares one embedding a label, but {type(student).__name__} has none. Use "
            "MulCon, CoOccurrence, Query2Label, LabelTransformer or an ML-Decoder with one group a label."
        )
    return int(embeddings.shape[-1])
