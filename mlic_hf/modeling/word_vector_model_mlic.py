"""What heads have in common whose labels are vectors: of words, of texts, or learned."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .base_mlic import MultiLabelModel
from .head_mlic import Head
from .word_vectors_mlic import load_word_vectors

Vectors = Tensor | str | os.PathLike


class WordVectorHead(Head):
    """A head that keeps a vector a label.

    Args:
        config: its `label_vectors`, `label_vector_size` and number of labels.

    Attributes:
        word_vectors: (C, label_vector_size), a buffer when given, a parameter when learned.
    """

    label_rows = ("word_vectors",)
    word_vectors: Tensor

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.learned = config.label_vectors == "learned"
        vectors = torch.empty(config.num_labels, config.label_vector_size)
        if self.learned:
            self.word_vectors = nn.Parameter(vectors)
        else:
            self.register_buffer("word_vectors", vectors)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.learned:
            nn.init.normal_(self.word_vectors)
        else:
            # word vectors that were never given must not pass for zeros
            nn.init.constant_(self.word_vectors, float("nan"))


class WordVectorModel(MultiLabelModel):
    """Base of the architectures whose head is a `WordVectorHead`."""

    label_inputs = ("word_vectors",)

    @classmethod
    def create(cls, labels: Sequence[str], word_vectors: Vectors | None = None, **config_kwargs: Any) -> Any:
        """As `MultiLabelModel.create`, with the labels' vectors, which `from_timm` and `from_backbone` take, too.

        Args:
            labels, **config_kwargs: as there.
            word_vectors: (C, n) one row a label (`text_vectors` makes them of names), or the path of a GloVe text
                file from which the labels' vectors are read; they become a buffer. None for learned vectors.

        Raises:
            ValueError: when `label_vectors="words"` comes without vectors, or they do not fit the labels.
        """
        if isinstance(word_vectors, (str, os.PathLike)):
            word_vectors = load_word_vectors(word_vectors, labels)
        if word_vectors is None:
            if config_kwargs.get("label_vectors") == "words":
                raise ValueError("label_vectors is 'words', but word_vectors is missing: pass a tensor or a file.")
            return super().create(labels, **config_kwargs)
        fields = {**config_kwargs, "label_vectors": "words", "label_vector_size": word_vectors.shape[-1]}
        model = super().create(labels, **fields)
        model.set_word_vectors(word_vectors)
        return model

    def set_labels(self, labels: Sequence[str], word_vectors: Vectors | None = None) -> list[str]:
        """As `MultiLabelModel.set_labels`; with given vectors, new labels need theirs.

        Args:
            labels: the label names, in the order of the logits.
            word_vectors: as in `create`, one row a label.
        """
        words = self.config.label_vectors == "words"
        if isinstance(word_vectors, (str, os.PathLike)):
            word_vectors = load_word_vectors(word_vectors, labels)
        if word_vectors is not None and not words:
            raise ValueError("word_vectors were given, but this model's label vectors are learned; leave them out.")
        new = sorted(set(labels) - set(self.label_names))
        if words and new and word_vectors is None:
            raise ValueError(
                f"{len(new)} labels have no word vector, the first {new[0]!r}: pass word_vectors, a tensor with one "
                "row a label or a GloVe text file, or load with label_vectors='learned'."
            )
        if word_vectors is None:
            return super().set_labels(labels)
        check_vectors(word_vectors, (len(labels), self.config.label_vector_size))
        self._change_labels(labels)
        self.set_word_vectors(word_vectors)
        return []  # a label has nothing of its own but its vector

    def set_word_vectors(self, word_vectors: Tensor) -> None:
        """Fill the buffer with (C, n) vectors. Raises ValueError when shape or values do not fit."""
        own: Tensor = self.head.word_vectors
        check_vectors(word_vectors, tuple(own.shape))
        with torch.no_grad():
            own.copy_(word_vectors)


def check_vectors(vectors: Tensor, shape: tuple[int, ...]) -> None:
    """Raises ValueError unless vectors have this shape and are finite."""
    if tuple(vectors.shape) != shape or not torch.isfinite(vectors).all():
        raise ValueError(
            f"word_vectors has shape {tuple(vectors.shape)} for {shape}, or is not finite; expected one finite row a "
            "label."
        )
