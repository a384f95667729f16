"""Exponential moving average of a model's weights and buffers."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class MovingAverage:
    """A copy of a model that follows it: e = decay * e + (1 - decay) * w after each step.

    Floating-point parameters and buffers are averaged, others copied. Not an nn.Module, so that neither the
    optimizer nor a wrapper nor the student's state sees it.

    Args:
        model: what is followed.
        decay: the share of the old average that stays.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.module: Any = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, decay: float | None = None) -> None:
        """Move the average one step towards the model."""
        average(self.module.state_dict(), model.state_dict(), self.decay if decay is None else decay)


@torch.no_grad()
def average(averaged: dict[str, torch.Tensor], current: dict[str, torch.Tensor], decay: float) -> None:
    """In place, averaged = decay * averaged + (1 - decay) * current for floating-point tensors; others are copied."""
    floating = [name for name, tensor in averaged.items() if tensor.is_floating_point()]
    if floating:
        kept = [averaged[name] for name in floating]
        new = [current[name].to(averaged[name]) for name in floating]
        torch._foreach_mul_(kept, decay)
        torch._foreach_add_(kept, new, alpha=1.0 - decay)
    for name in averaged.keys() - set(floating):
        averaged[name].copy_(current[name])
