"""A head that takes a feature map where a model takes pixels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from mlic_hf.modeling.base_mlic import HeadRequest


class HeadAlone(nn.Module):
    """Looks like a model to a `Method`; its "pixels" are feature maps (B, channels, h, w)."""

    def __init__(self, head: nn.Module, config: Any, channels: int, output: type) -> None:
        super().__init__()
        self.head = head
        self.config = config
        self.output = output
        pixels = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "interpolation": "bilinear"}
        self.backbone = SimpleNamespace(**pixels, num_features=channels)

    def forward(self, feature_map: Tensor, output_label_embeddings: bool = False) -> Any:
        return self.output(**self.head(feature_map, HeadRequest(label_embeddings=output_label_embeddings)))
