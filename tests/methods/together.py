"""A student and its method as one module, called with a batch as the trainer calls them one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mlic_hf.methods.base import Method, Weighted
from mlic_hf.methods.views import PixelSpec


class Together(nn.Module):
    """`together(pixel_values, labels)` gives {loss, logits, named parts}.

    Args:
        student: the model.
        objectives: of the method.
        teacher: what teaches.
        pixels: the student's; its model's own when None.
    """

    def __init__(
        self, student: Any, objectives: Sequence[Weighted], teacher: Any = None, pixels: PixelSpec | None = None
    ) -> None:
        super().__init__()
        method = Method(objectives, pixels or PixelSpec.of_model(student), teacher)
        self.student = student
        self.objectives = method.objectives
        self._method = (method,)
        self.teacher, self.views, self.couples_images = method.teacher, method.views, method.couples_images
        self.counts, self.companions, self.weights = method.counts, method.companions, method.weights
        self.progress = 0.0

    @property
    def method(self) -> Method:
        return self._method[0]

    def forward(
        self, pixel_values: Tensor, labels: Tensor, *, totals: Tensor | None = None, **more: Any
    ) -> dict[str, Tensor]:
        batch = self.method.look(self.student, pixel_values, labels, progress=self.progress, **more)
        batch.student = self.student(batch.pixel_values, **self.method.asks)
        loss, parts = self.method(batch, totals)
        return {"loss": loss, "logits": batch.student.logits, **parts}

    def after_step(self) -> None:
        self.method.after_step(self.student)
