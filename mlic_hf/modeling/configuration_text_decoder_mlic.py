"""Configuration of the ML-Decoder whose queries are text vectors."""

from __future__ import annotations

from typing import Any

from .config_checks_mlic import require_choice, require_divisible, require_share, require_whole, require_width
from .configuration_mlic import MultiLabelConfig
from .labels_mlic import MOST_LABELS


class TextDecoderConfig(MultiLabelConfig):
    """Fields of `TextDecoderForImageClassification`.

    Args:
        label_vectors: "words" for given vectors, kept as a buffer; "learned" for trained vectors.
        label_vector_size: width of a label's vector (300 for GloVe-300, 512 for CLIP).
        width: width d of the decoder.
        num_heads: attention heads.
        feed_forward_size: hidden width of the feed-forward part.
        dropout: in the decoder layer, in [0, 1).
        labels_per_step: how many labels, drawn anew each time, a pass of training computes; None for all.
        **kwargs: as in `MultiLabelConfig`.
    """

    model_type = "mlic_text_decoder"

    def __init__(
        self,
        label_vectors: str = "learned",
        label_vector_size: int = 300,
        width: int = 768,
        num_heads: int = 8,
        feed_forward_size: int = 2048,
        dropout: float = 0.1,
        labels_per_step: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.label_vectors = label_vectors
        self.label_vector_size = label_vector_size
        self.width = width
        self.num_heads = num_heads
        self.feed_forward_size = feed_forward_size
        self.dropout = dropout
        self.labels_per_step = labels_per_step
        super().__init__(**kwargs)

    def check(self) -> None:
        super().check()
        require_choice(self, "label_vectors", ("words", "learned"))
        require_width(self, "label_vector_size", "width", "num_heads", "feed_forward_size")
        require_divisible(self, "width", "num_heads")
        require_share(self, "dropout")
        if self.labels_per_step is not None:
            require_whole(self, 1, MOST_LABELS, "labels_per_step")
