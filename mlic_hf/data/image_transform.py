"""From an image to the model's pixel values."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from mlic_hf.data.drawn_operations import draw_operations
from mlic_hf.data.pillow_operations import apply_with_pillow
from mlic_hf.data.transform_config import TransformConfig


def choose_backend(config: TransformConfig) -> str:
    """The backend that a config gets: its own, or albumentations where installed for "auto".

    Raises:
        ValueError: albumentations is asked for but not installed.
    """
    if config.kind == "eval" or config.backend == "torchvision":
        return "torchvision"
    installed = importlib.util.find_spec("albumentations") is not None
    if config.backend == "albumentations" and not installed:
        raise ValueError(
            "The transform backend 'albumentations' was asked for, but the package is not installed; "
            "install it with pip install 'mlic_hf[albumentations]', or choose the backend 'torchvision'."
        )
    return "albumentations" if installed else "torchvision"


class ImageTransform:
    """A callable from an RGB image and a generator to (3, image_size, image_size) float32.

    Attributes:
        config: what it was built from.
        backend: "albumentations" or "torchvision".
        minimum_size: the least width and height that a decoded picture needs for this transform, so that a
            reader may decode a larger JPEG at 1/2, 1/4 or 1/8; None: decode in full (evaluation).
    """

    def __init__(self, config: TransformConfig) -> None:
        self.config = config
        self.backend = choose_backend(config)
        self.minimum_size = minimum_decoded_size(config)
        if self.backend == "albumentations":
            from mlic_hf.data.albumentations_operations import apply_with_albumentations

            self._apply: Callable[..., Any] = apply_with_albumentations
        else:
            self._apply = apply_with_pillow

    def __call__(self, image: Image.Image, generator: np.random.Generator | None = None) -> torch.Tensor:
        """Transform one image.

        Args:
            image: any Pillow image; other modes are converted to RGB.
            generator: where the draws come from; evaluation needs none.

        Returns:
            (3, image_size, image_size) float32, normalised.

        Raises:
            ValueError: a training transform without a generator.
        """
        if image.mode != "RGB":
            image = image.convert("RGB")
        config = self.config
        if config.kind == "eval":
            size = (config.image_size, config.image_size)
            resized = image.resize(size, Image.Resampling[config.interpolation.upper()])
            return to_tensor(np.asarray(resized), config.mean, config.std)
        if generator is None:
            raise ValueError(
                "A training transform needs a random generator; pass stateless_generator(seed, epoch, "
                "image_id, view), or build a transform of kind 'eval'."
            )
        operations = draw_operations(config, image.width, image.height, generator)
        # what "place" leaves empty becomes 0 after normalisation (to the nearest of 256 levels)
        red, green, blue = (round(255 * channel) for channel in config.mean)
        source = np.array(image) if self.backend == "albumentations" else image
        pixels = np.asarray(self._apply(source, operations, (red, green, blue)))
        return to_tensor(pixels, config.mean, config.std)


def minimum_decoded_size(config: TransformConfig) -> int | None:
    """The least side of a decoded picture for which no output pixel is enlarged more than from the full one.

    A random resized crop keeps at least scale[0] of the area, hence of each side (a side's share is at least
    the area's); a long-side crop needs the greatest length on both sides, which is more than enough.
    """
    if config.kind == "eval":
        return None
    if config.resize == "random_resized_crop":
        return math.ceil(config.image_size / config.scale[0])
    if config.resize == "long_side_crop":
        return math.ceil(config.long_side[1] * config.image_size / 512)
    return config.image_size


def to_tensor(pixels: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """(height, width, 3) uint8 to (3, height, width) float32: divided by 255, less mean, divided by std."""
    writable = pixels if pixels.flags.writeable and pixels.flags.c_contiguous else pixels.copy()
    channels = torch.from_numpy(writable).permute(2, 0, 1)
    planes = torch.empty(channels.shape, dtype=torch.float32)
    torch.div(channels, 255, out=planes)  # one pass: twice as fast as a cast and a division
    if any(mean) or any(value != 1 for value in std):
        shape = (3, 1, 1)
        planes.sub_(torch.tensor(mean).view(shape)).div_(torch.tensor(std).view(shape))
    return planes


def build_transform(config: TransformConfig) -> ImageTransform:
    """The transform that a config describes: `transform(image, generator) -> (3, size, size) float32`."""
    return ImageTransform(config)


def describe_transform(transform: Callable[..., Any]) -> dict[str, Any]:
    """What a transform draws and does, as plain JSON: two with one description show the same pictures.

    The normalisation is left out, which every model undoes for itself, and the backend, whose pictures differ by less
    than a level or two.
    """
    if not isinstance(transform, ImageTransform):
        return {"function": f"{transform.__module__}.{getattr(transform, '__qualname__', type(transform).__name__)}"}
    told = {name: value for name, value in vars(transform.config).items() if name not in ("mean", "std", "backend")}
    return {name: list(value) if isinstance(value, (tuple, list)) else value for name, value in told.items()}
