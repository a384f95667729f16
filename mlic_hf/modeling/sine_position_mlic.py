"""Two-dimensional sine position codes, computed for whatever size the map has."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TEMPERATURE = 10000.0
EPSILON = 1e-6


def sine_position(height: int, width: int, channels: int, device: torch.device | None = None) -> Tensor:
    """The position code of every place of a map.

    Rows and columns are counted from 1 and scaled to (0, 2 pi]; the first half of the channels codes the
    row, the second the column, sines and cosines alternating.

    Args:
        height, width: places of the map.
        channels: a multiple of 4.
        device: where to compute.

    Returns:
        (channels, height, width) float32.

    Source: DETR (Carion et al., 2020), normalised variant, scale 2 pi.
    """
    half = channels // 2
    steps = torch.arange(half, dtype=torch.float32, device=device)
    frequency = TEMPERATURE ** (2 * torch.div(steps, 2, rounding_mode="floor") / half)

    def code(places: int) -> Tensor:
        counted = torch.arange(1, places + 1, dtype=torch.float32, device=device)
        angle = (counted / (places + EPSILON) * 2 * math.pi)[:, None] / frequency
        return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2).flatten(1).T

    rows = code(height)[:, :, None].expand(half, height, width)
    columns = code(width)[:, None, :].expand(half, height, width)
    return torch.cat((rows, columns))
