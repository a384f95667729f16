"""What teaches: anything that names its labels and pixels and answers for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from mlic_hf.methods.views import PixelSpec


@runtime_checkable
class Teacher(Protocol):
    """Whatever answers: a model, PSD's parts, a cache on disk, a function.

    One that lacks labels of the student says so by an attribute `answered`, (C,) true or false; the losses on its
    logits leave the others out.

    Attributes:
        pixels: the view of an image it wants; the batch is made at least that large.
        provides: the fields of its answers beside `logits`, as a model's `provides`.
        stage_channels: the widths of its stage maps, fine to coarse; empty if it gives none.
    """

    pixels: PixelSpec
    provides: frozenset[str]
    stage_channels: Sequence[int]

    def __call__(
        self,
        pixel_values: Tensor,
        source: PixelSpec,
        *,
        image_id: Sequence[str] | None = None,
        view: Sequence[int] | None = None,
        **asked: bool,
    ) -> Any:
        """Its answers, without gradient, labels in the student's order.

        Args:
            pixel_values: (B, 3, H, W) prepared for `source`.
            source: how they are normalised.
            image_id: the images' ids, for answers that are looked up.
            view: which draw of each image this is, where the draws come again (`MultiLabelDataset.repeating`); left
                out where they do not.
            **asked: `output_<field>=True` for what is wanted beside `logits` (B, C).
        """
        ...


def unanswered(teacher: Teacher, labels: Sequence[str]) -> list[str]:
    """The labels (the student's, in its order) of which a teacher says nothing."""
    answered = getattr(teacher, "answered", None)
    return [] if answered is None else [name for name, known in zip(labels, answered.tolist()) if not known]
