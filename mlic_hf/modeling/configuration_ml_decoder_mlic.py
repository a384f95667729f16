"""Configuration of the ML-Decoder classifier."""

from __future__ import annotations

from typing import Any

from .config_checks_mlic import require_divisible, require_share, require_width
from .configuration_mlic import MultiLabelConfig


class MLDecoderConfig(MultiLabelConfig):
    """Fields of `MLDecoderForImageClassification`.

    Args:
        num_groups: queries; each answers for ceil(C / num_groups) labels. None for one query a label.
        width: width d of the decoder.
        num_heads: attention heads.
        feed_forward_size: hidden width of the feed-forward part.
        dropout: in the decoder layer, in [0, 1).
        **kwargs: as in `MultiLabelConfig`.
    """

    model_type = "mlic_ml_decoder"

    def __init__(
        self,
        num_groups: int | None = None,
        width: int = 768,
        num_heads: int = 8,
        feed_forward_size: int = 2048,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        self.num_groups = num_groups
        self.width = width
        self.num_heads = num_heads
        self.feed_forward_size = feed_forward_size
        self.dropout = dropout
        super().__init__(**kwargs)

    def check(self) -> None:
        super().check()
        require_width(self, "width", "num_heads", "feed_forward_size")
        require_divisible(self, "width", "num_heads")
        require_share(self, "dropout")
        if self.num_groups is None:
            return
        if self.num_groups == self.num_labels:
            self.num_groups = None  # the same, and still so when labels are added
        elif type(self.num_groups) is not int or not 1 <= self.num_groups < self.num_labels:
            raise ValueError(
                f"MLDecoderConfig.num_groups is {self.num_groups!r} for {self.num_labels} labels; expected 1 to "
                f"{self.num_labels}, or None for one group a label."
            )

    @property
    def groups(self) -> int:
        """The number of queries."""
        return self.num_labels if self.num_groups is None else self.num_groups
