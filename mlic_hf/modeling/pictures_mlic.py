"""A picture of any accepted kind as 8-bit RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image


def as_rgb(picture: Any, channels_last: bool | None = None) -> Image.Image:
    """A picture of any accepted kind as 8-bit RGB, as it is read in training.

    Transparency is dropped, as `transformers.image_utils.load_image` does; 16-bit values are divided by 257.

    Args:
        picture: a PIL picture of any mode, an array or a tensor.
        channels_last: where an array has its colours; None looks at its shape.

    Raises:
        ValueError: for anything else, other shapes and other values.
    """
    if isinstance(picture, torch.Tensor):
        picture = picture.detach().cpu().numpy()
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(_as_bytes(picture, channels_last))
    if not isinstance(picture, Image.Image):
        raise ValueError(f"A picture is a {type(picture).__name__}; expected a PIL picture, an array or a tensor.")
    if picture.mode.startswith("I"):
        picture = Image.fromarray(np.rint(np.asarray(picture) / 257.0).clip(0, 255).astype(np.uint8))
    if "transparency" in picture.info:
        picture = picture.convert("RGBA")  # Pillow warns of palettes that go to RGB at once
    return picture.convert("RGB")


def is_share(picture: Any) -> bool:
    """Whether a picture's values are floats in [0, 1], not bytes."""
    if isinstance(picture, torch.Tensor):
        return picture.is_floating_point()
    return isinstance(picture, np.ndarray) and np.issubdtype(picture.dtype, np.floating)


def _as_bytes(array: np.ndarray, channels_last: bool | None) -> np.ndarray:
    if channels_last is None:
        channels_last = array.ndim != 3 or array.shape[0] not in (1, 3, 4) or array.shape[2] in (1, 3, 4)
    if array.ndim == 3 and not channels_last:
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3):
        raise ValueError(f"A picture has shape {array.shape}; expected (H, W), (H, W, 3) or (3, H, W).")
    if array.dtype == np.uint8:
        return array
    if np.issubdtype(array.dtype, np.floating) and array.size and array.min() >= 0.0 and array.max() <= 1.0:
        return np.round(array * 255.0).astype(np.uint8)
    raise ValueError(
        f"A picture has values of {array.dtype} from {array.min()} to {array.max()}; expected bytes 0 to 255 "
        "or floats in [0, 1]."
    )
