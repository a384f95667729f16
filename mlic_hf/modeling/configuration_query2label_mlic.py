"""Configuration of the Query2Label classifier."""

from __future__ import annotations

from typing import Any

from .config_checks_mlic import require_choice, require_divisible, require_layers, require_share, require_width
from .configuration_mlic import MultiLabelConfig


class Query2LabelConfig(MultiLabelConfig):
    """Fields of `Query2LabelForImageClassification`.

    Args:
        width: width d of the transformer, a multiple of 4.
        num_heads: attention heads.
        feed_forward_size: hidden width of the feed-forward parts.
        encoder_layers, decoder_layers: number of layers.
        decoder_self_attention: which decoder layers have self-attention between labels: "none" (PSD's model),
            "after_first" (all but the first, whose targets are still zero) or "all".
        dropout: in all layers, in [0, 1).
        **kwargs: as in `MultiLabelConfig`. Batch norm (statistics and weights), the stem and the first
            stage are frozen by default, as published.
    """

    model_type = "mlic_query2label"

    def __init__(
        self,
        width: int = 2048,
        num_heads: int = 4,
        feed_forward_size: int = 8192,
        encoder_layers: int = 1,
        decoder_layers: int = 2,
        decoder_self_attention: str = "none",
        dropout: float = 0.1,
        freeze_batch_norm: bool = True,
        freeze_batch_norm_affine: bool | None = None,
        freeze_stages: int = 1,
        **kwargs: Any,
    ) -> None:
        self.width = width
        self.num_heads = num_heads
        self.feed_forward_size = feed_forward_size
        self.encoder_layers = encoder_layers
        self.decoder_layers = decoder_layers
        self.decoder_self_attention = decoder_self_attention
        self.dropout = dropout
        super().__init__(
            freeze_batch_norm=freeze_batch_norm,
            freeze_batch_norm_affine=freeze_batch_norm
            if freeze_batch_norm_affine is None
            else freeze_batch_norm_affine,
            freeze_stages=freeze_stages,
            **kwargs,
        )

    def check(self) -> None:
        super().check()
        require_width(self, "width", "num_heads", "feed_forward_size")
        require_layers(self, "decoder_layers")
        require_layers(self, "encoder_layers", least=0)
        require_divisible(self, "width", "num_heads")
        require_choice(self, "decoder_self_attention", ("none", "after_first", "all"))
        require_share(self, "dropout")
        if self.width % 4 != 0:
            raise ValueError(f"Query2LabelConfig.width is {self.width}; the sine position code needs a multiple of 4.")
