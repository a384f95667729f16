"""Configuration of the co-occurrence classifier."""

from __future__ import annotations

from typing import Any

from .config_checks_mlic import require_layers, require_share, require_width
from .configuration_mlic import MultiLabelConfig


class CoOccurrenceConfig(MultiLabelConfig):
    """Fields of `CoOccurrenceForImageClassification`.

    Args:
        num_heads: attention heads; they must divide the width.
        feed_forward_size: hidden width of the feed-forward parts.
        encoder_layers, decoder_layers: number of transformer layers.
        graph_steps: steps K of the gated graph network (the paper: VOC 2, COCO 1, NUS-WIDE 4, VG500 2).
        dropout: in the transformer, in [0, 1).
        width: of a label embedding, to which the backbone's channels are then projected; None for as many as they are,
            as published.
        **kwargs: as in `MultiLabelConfig`.
    """

    model_type = "mlic_co_occurrence"

    def __init__(
        self,
        num_heads: int = 8,
        feed_forward_size: int = 2048,
        encoder_layers: int = 2,
        decoder_layers: int = 1,
        graph_steps: int = 1,
        dropout: float = 0.1,
        width: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.num_heads = num_heads
        self.feed_forward_size = feed_forward_size
        self.encoder_layers = encoder_layers
        self.decoder_layers = decoder_layers
        self.graph_steps = graph_steps
        self.dropout = dropout
        self.width = width
        super().__init__(**kwargs)

    def check(self) -> None:
        super().check()
        require_width(self, "num_heads", "feed_forward_size", *([] if self.width is None else ["width"]))
        require_layers(self, "encoder_layers", "decoder_layers", "graph_steps")
        require_share(self, "dropout")
