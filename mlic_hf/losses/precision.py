"""Losses compute in float32 at least: half types are raised, autocast is off inside, float64 stays."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

HALF_TYPES = (torch.float16, torch.bfloat16)


def raise_half(value: Any) -> Any:
    """A half tensor as float32 (also inside lists and tuples); anything else unchanged."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in HALF_TYPES else value
    if isinstance(value, (list, tuple)):
        return type(value)(raise_half(item) for item in value)
    return value


def _device_type(values: tuple[Any, ...]) -> str | None:
    for value in values:
        if isinstance(value, Tensor):
            return value.device.type
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], Tensor):
            return value[0].device.type
    return None


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Run a loss with half inputs raised to float32 and autocast switched off.

    Under autocast a matrix product of float32 tensors would fall back to bfloat16, which ruins distances and
    log-sum-exps; switching it off here means that no loss has to think about it.
    """

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        device = _device_type((*args, *kwargs.values()))
        off: AbstractContextManager[None] = nullcontext()
        if device is not None and torch.amp.is_autocast_available(device):
            off = torch.autocast(device, enabled=False)
        with off:
            return function(*raise_half(args), **{name: raise_half(value) for name, value in kwargs.items()})

    return wrapper
