"""Configuration of the MulCon classifier."""

from __future__ import annotations

from typing import Any

from .config_checks_mlic import require_divisible, require_layers, require_width
from .configuration_mlic import MultiLabelConfig


class MulConConfig(MultiLabelConfig):
    """Fields of `MulConForImageClassification`.

    Args:
        width: width d of a label embedding.
        num_heads: attention heads; they must divide `width` and the backbone's channels.
        feature_blocks: self-attention blocks over the places.
        label_blocks: self-attention blocks over the labels.
        projection_size: width p of a label's projection, for the contrastive loss.
        **kwargs: as in `MultiLabelConfig`.
    """

    model_type = "mlic_mulcon"

    def __init__(
        self,
        width: int = 1024,
        num_heads: int = 4,
        feature_blocks: int = 2,
        label_blocks: int = 1,
        projection_size: int = 128,
        **kwargs: Any,
    ) -> None:
        self.width = width
        self.num_heads = num_heads
        self.feature_blocks = feature_blocks
        self.label_blocks = label_blocks
        self.projection_size = projection_size
        super().__init__(**kwargs)

    def check(self) -> None:
        super().check()
        require_width(self, "width", "num_heads", "projection_size")
        require_divisible(self, "width", "num_heads")
        require_layers(self, "feature_blocks", "label_blocks", least=0)
