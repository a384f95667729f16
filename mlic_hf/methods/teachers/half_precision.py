"""The precision in which teachers run."""

from __future__ import annotations

import contextlib

import torch


def half_precision(device: torch.device, half: bool) -> contextlib.AbstractContextManager[object]:
    """Autocast of a teacher: float16 on a GPU, bfloat16 on the CPU; without `half` what holds around it holds."""
    if not half:
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.float16 if device.type == "cuda" else torch.bfloat16)
