"""Configuration of the label transformer."""

from __future__ import annotations

from typing import Any

from .config_checks_mlic import require_choice, require_layers, require_share, require_width
from .configuration_mlic import MultiLabelConfig


class LabelTransformerConfig(MultiLabelConfig):
    """Fields of `LabelTransformerForImageClassification`.

    Args:
        label_vectors: "words" for given word vectors, kept as a buffer; "learned" for trained vectors.
        label_vector_size: width of a label's vector (300 for GloVe-300).
        width: width d of the transformer.
        depth: number of layers.
        num_heads: attention heads.
        head_width: width of one head; None for `width`, as published.
        feed_forward_size: hidden width of the feed-forward parts; None for `width`.
        dropout: after attention and in the feed-forward parts, in [0, 1).
        **kwargs: as in `MultiLabelConfig`.
    """

    model_type = "mlic_label_transformer"

    def __init__(
        self,
        label_vectors: str = "learned",
        label_vector_size: int = 300,
        width: int = 1024,
        depth: int = 3,
        num_heads: int = 4,
        head_width: int | None = None,
        feed_forward_size: int | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self.label_vectors = label_vectors
        self.label_vector_size = label_vector_size
        self.width = width
        self.depth = depth
        self.num_heads = num_heads
        self.head_width = width if head_width is None else head_width
        self.feed_forward_size = width if feed_forward_size is None else feed_forward_size
        self.dropout = dropout
        super().__init__(**kwargs)

    def check(self) -> None:
        super().check()
        require_choice(self, "label_vectors", ("words", "learned"))
        require_width(self, "label_vector_size", "width", "num_heads", "head_width", "feed_forward_size")
        require_layers(self, "depth")
        require_share(self, "dropout")
