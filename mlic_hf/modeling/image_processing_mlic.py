"""Pictures to model input: resize to the square, rescale to [0, 1], normalise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers.image_processing_utils import BaseImageProcessor, BatchFeature

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}


class MultiLabelImageProcessor(BaseImageProcessor):
    """The evaluation view of a picture, as all five papers use it.

    One class serves every backend that transformers may ask for: Pillow resizes (with its antialiasing, as in
    training), so results do not depend on what else is installed.

    Args:
        image_size: side of the square, in pixels. The whole picture is squashed to it; nothing is cropped.
        image_mean, image_std: three numbers each, for pixels in [0, 1].
        interpolation: one of "nearest", "bilinear", "bicubic", "lanczos", "box", "hamming".

    Raises:
        ValueError: a sentence naming the field or the picture.
    """

    model_input_names = ["pixel_values"]

    def __init__(
        self,
        image_size: int = 224,
        image_mean: Sequence[float] = (0.485, 0.456, 0.406),
        image_std: Sequence[float] = (0.229, 0.224, 0.225),
        interpolation: str = "bilinear",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if interpolation not in FILTERS:
            raise ValueError(f"interpolation is {interpolation!r}; expected one of {', '.join(FILTERS)}.")
        if not isinstance(image_size, int) or image_size < 1:
            raise ValueError(f"image_size is {image_size!r}; expected a whole number of pixels of at least 1.")
        if len(image_mean) != 3 or len(image_std) != 3 or min(image_std) <= 0:
            raise ValueError(f"mean {image_mean!r} and std {image_std!r}: expected three numbers each, std above 0.")
        self.image_size = image_size
        self.image_mean = [float(value) for value in image_mean]
        self.image_std = [float(value) for value in image_std]
        self.interpolation = interpolation

    @classmethod
    def for_model(cls, model: Any) -> MultiLabelImageProcessor:
        """The processor that a model of this package expects, from its config and backbone."""
        backbone = model.backbone
        return cls(
            image_size=model.config.image_size,
            image_mean=backbone.mean,
            image_std=backbone.std,
            interpolation=backbone.interpolation,
        )

    def __call__(self, images: Any, return_tensors: Any = None, **kwargs: Any) -> BatchFeature:
        return self.preprocess(images, return_tensors=return_tensors, **kwargs)

    def preprocess(self, images: Any, return_tensors: Any = None, **kwargs: Any) -> BatchFeature:
        """One picture or a list of them to {"pixel_values": (B, 3, S, S)}.

        Args:
            images: PIL pictures of any mode, or arrays / tensors: (H, W), (H, W, 3) or (3, H, W), as bytes
                0 to 255 or as floats in [0, 1].
            return_tensors: "pt", "np" or None, as everywhere in transformers.
        """
        pictures = list(images) if isinstance(images, (list, tuple)) else [images]
        if hasattr(images, "ndim") and images.ndim == 4:
            pictures = list(images)
        rows = [self._prepare(picture) for picture in pictures]
        return BatchFeature({"pixel_values": np.stack(rows)}, tensor_type=return_tensors)

    def _prepare(self, picture: Any) -> np.ndarray:
        side = (self.image_size, self.image_size)
        resized = as_rgb(picture).resize(side, FILTERS[self.interpolation])
        pixels = np.asarray(resized, dtype=np.float32) / 255.0
        pixels = (pixels - np.float32(self.image_mean)) / np.float32(self.image_std)
        return pixels.transpose(2, 0, 1)


def as_rgb(picture: Any) -> Image.Image:
    """A picture of any accepted kind as 8-bit RGB, as it is read in training.

    Transparency is dropped, as `transformers.image_utils.load_image` does; 16-bit values are divided by 257.
    """
    if isinstance(picture, torch.Tensor):
        picture = picture.detach().cpu().numpy()
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(_as_bytes(picture))
    if not isinstance(picture, Image.Image):
        raise ValueError(f"A picture is a {type(picture).__name__}; expected a PIL picture, an array or a tensor.")
    if picture.mode.startswith("I"):
        picture = Image.fromarray(np.rint(np.asarray(picture) / 257.0).clip(0, 255).astype(np.uint8))
    if "transparency" in picture.info:
        picture = picture.convert("RGBA")  # Pillow warns of palettes that go to RGB at once
    return picture.convert("RGB")


def _as_bytes(array: np.ndarray) -> np.ndarray:
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
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
