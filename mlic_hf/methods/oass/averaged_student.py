"""The averaged copy of the student that looks at the pieces of cut images."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


class AveragedStudent(nn.Module):
    """A copy whose parameters follow the student's: e = d e + (1 - d) w, d = min(1 - 1 / (t + 1), highest).

    t counts the updates before this one, so the first takes the student's weights over, and until the highest
    decay is reached the copy is the plain mean of the weights after each step. t is a buffer: it is saved with the
    copy.

    Differs: buffers are copied from the student instead of left as they were. With frozen batch norm, which is the
    published setting, they never change; with trained batch norm a copy with its first statistics sees nothing.

    Args:
        student: the model that is followed.
        highest: the decay that is never exceeded.

    Source: OASS, the copy through which the pieces go.
    """

    updates: Tensor

    def __init__(self, student: nn.Module, highest: float = 0.99) -> None:
        super().__init__()
        self.model = copy.deepcopy(student).eval().requires_grad_(False)
        self.highest = highest
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    def decay(self) -> Tensor:
        """The decay of the next update, a scalar on the copy's device."""
        return (1.0 - 1.0 / (self.updates + 1)).clamp(max=self.highest)

    @torch.no_grad()
    def update(self, student: nn.Module) -> None:
        """Move one step towards the student."""
        self.to(next(student.parameters()).device)
        decay = self.decay()
        kept: list[Tensor] = list(self.model.parameters())
        new: list[Tensor] = [parameter.to(mine) for parameter, mine in zip(student.parameters(), kept)]
        torch._foreach_mul_(kept, decay)
        torch._foreach_add_(kept, list(torch._foreach_mul(new, 1.0 - decay)))
        for mine, buffer in zip(self.model.buffers(), student.buffers()):
            mine.copy_(buffer)
        self.updates += 1

    def forward(self, pixels: Tensor, **asked: Any) -> Any:
        """The copy's outputs, without gradient."""
        with torch.no_grad():
            return self.model(pixels, **asked)

    def train(self, mode: bool = True) -> AveragedStudent:
        """Stays in evaluation mode."""
        return super().train(False)
