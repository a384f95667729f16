"""Rows of a dataset to a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Stack the tensors of several examples; keep everything else (image_id) as a list.

    Args:
        rows: examples with the same keys; tensors of a key share one shape.

    Returns:
        key -> (rows, ...) tensor, or list.

    Raises:
        ValueError: no rows, or tensors of different shapes; the message names key and image.
    """
    if not rows:
        raise ValueError("A batch needs at least one example, but none was given.")
    batch: dict[str, Any] = {}
    for key, first in rows[0].items():
        values = [row[key] for row in rows]
        if not isinstance(first, torch.Tensor):
            batch[key] = values
            continue
        for row, value in zip(rows, values):
            if value.shape != first.shape:
                raise ValueError(
                    f"The {key} of image {row.get('image_id')!r} have the shape {tuple(value.shape)}, but "
                    f"those of image {rows[0].get('image_id')!r} have {tuple(first.shape)}."
                )
        stacked = torch.stack(values)
        # Convolutions follow the layout of their input; channels last is 1.2 to 1.8 times as fast on a CPU.
        batch[key] = stacked.contiguous(memory_format=torch.channels_last) if stacked.ndim == 4 else stacked
    return batch
