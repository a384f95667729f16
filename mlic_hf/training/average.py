"""The exponential moving average of a model's weights, and how it stands in for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """Follows a model: e = d e + (1 - d) w after each step, for what is trained and for floating-point buffers.

    With `warmup` the decay of step t is min(d, (1 + t) / (10 + t)): a short run, or the beginning of a long one,
    is not an average of its random start.

    Args:
        model: what is followed, from its weights of now on.
        decay: d, the share of the old average that stays.
        warmup: whether the decay rises to d.
    """

    def __init__(self, model: nn.Module, decay: float, warmup: bool = True) -> None:
        self.decay = decay
        self.warmup = warmup
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.live: list[Tensor] = [*trained, *(b for b in model.buffers() if b.is_floating_point())]
        self.kept: list[Tensor] = [tensor.detach().clone() for tensor in self.live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move one step towards the model; `step` counts the steps taken before this one."""
        decay = min(self.decay, (1 + step) / (10 + step)) if self.warmup else self.decay
        torch._foreach_lerp_(self.kept, [tensor.detach() for tensor in self.live], 1.0 - decay)

    def swap(self) -> None:
        """Exchange the average and the model's own weights; twice is once never."""
        for live, kept in zip(self.live, self.kept):
            live.data, kept.data = kept.data, live.data

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with its averaged weights, for a while."""
        self.swap()
        try:
            yield
        finally:
            self.swap()
