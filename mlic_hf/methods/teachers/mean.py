"""Several teachers as one: the mean of their logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mlic_hf.methods.teachers.protocol import Teacher
from mlic_hf.methods.views import PixelSpec
from mlic_hf.modeling.outputs_mlic import MultiLabelOutput


class MeanTeacher:
    """Asks all and gives the mean logits, of each label over the teachers that answer it.

    Args:
        teachers: whose answers follow the student's labels and are logits (B, C).

    Attributes:
        teachers: they.
        answered: (C,) the labels that at least one answers; None for all.

    Raises:
        ValueError: for none, or PSD's parts, whose answers are no logits of all labels.
    """

    provides: frozenset[str] = frozenset()
    stage_channels: Sequence[int] = ()

    def __init__(self, teachers: Sequence[Teacher]) -> None:
        if not teachers or any(getattr(teacher, "kinds", ()) for teacher in teachers):
            raise ValueError("A mean of teachers wants at least one, and of each the logits of all labels.")
        self.teachers = list(teachers)
        self.pixels: PixelSpec = max((t.pixels for t in self.teachers), key=lambda pixels: pixels.image_size)
        answered = [getattr(teacher, "answered", None) for teacher in self.teachers]
        known = None if any(one is None for one in answered) else torch.stack(answered).any(dim=0)  # type: ignore[arg-type]
        self.answered = None if known is None or bool(known.all()) else known

    @torch.no_grad()
    def __call__(
        self,
        pixel_values: Tensor,
        source: PixelSpec,
        *,
        image_id: Sequence[str] | None = None,
        view: Sequence[int] | None = None,
        **asked: bool,
    ) -> MultiLabelOutput:
        """The mean logits for a batch (B, 3, H, W) prepared for `source`.

        Raises:
            ValueError: when more than logits is asked for.
        """
        if wanted := sorted(name for name, value in asked.items() if value):
            raise ValueError(f"A mean of teachers gives logits alone, but {', '.join(wanted)} is asked of it.")
        where: Any = {} if view is None else {"view": view}
        total, count = torch.zeros(()), torch.zeros(())
        for teacher in self.teachers:
            logits = teacher(pixel_values, source, image_id=image_id, **where).logits.float()
            own = getattr(teacher, "answered", None)
            weight = torch.ones(logits.shape[1]) if own is None else own.float()
            weight = weight.to(logits.device)
            total, count = total.to(logits.device) + logits * weight, count.to(logits.device) + weight
        return MultiLabelOutput(logits=total / count.clamp_min(1.0))
