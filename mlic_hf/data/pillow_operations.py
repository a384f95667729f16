"""The drawn operations on Pillow images, through torchvision v2: the originals' own pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from PIL import Image
from torchvision.transforms.v2 import functional as F

from mlic_hf.data.drawn_operations import Operation


def apply_with_pillow(image: Image.Image, operations: Sequence[Operation], fill: tuple[int, int, int]) -> Image.Image:
    """Apply drawn operations to an RGB image.

    Args:
        image: RGB.
        operations: of `draw_operations`.
        fill: colour of what "place" leaves empty, 0..255.

    Returns:
        RGB image; the input is not changed.
    """
    for name, values in operations:
        if name == "place":
            image = _place(image, values, fill)
        else:
            image = OPERATIONS[name](image, *values)
    return image


def _place(image: Image.Image, values: Sequence[float], fill: tuple[int, int, int]) -> Image.Image:
    left, top, width, height = (int(value) for value in values)
    canvas = Image.new("RGB", (width, height), fill)
    canvas.paste(image, (-left, -top))
    return canvas


def _resize(image: Image.Image, width: float, height: float) -> Image.Image:
    return image.resize((int(width), int(height)), Image.Resampling.BILINEAR)


def _crop(image: Image.Image, left: float, top: float, width: float, height: float) -> Image.Image:
    return image.crop((int(left), int(top), int(left + width), int(top + height)))


def _cutout(image: Image.Image, *values: float) -> Image.Image:
    left, top, right, bottom, red, green, blue = (int(value) for value in values)
    image = image.copy()
    image.paste((red, green, blue), (left, top, right, bottom))
    return image


def _shear(image: Image.Image, x: float, y: float) -> Image.Image:
    # about the upper left corner, as the first AutoAugment code and torchvision do
    degrees = [math.degrees(math.atan(x)), math.degrees(math.atan(y))]
    return F.affine(image, angle=0.0, translate=[0, 0], scale=1.0, shear=degrees, center=[0, 0])


def _translate(image: Image.Image, x: float, y: float) -> Image.Image:
    return F.affine(image, angle=0.0, translate=[int(x), int(y)], scale=1.0, shear=[0.0, 0.0])


OPERATIONS: dict[str, Callable[..., Image.Image]] = {
    "resize": _resize,
    "crop": _crop,
    "hflip": F.horizontal_flip,
    "cutout": _cutout,
    "identity": lambda image: image,
    "shear_x": lambda image, value: _shear(image, value, 0.0),
    "shear_y": lambda image, value: _shear(image, 0.0, value),
    "translate_x": lambda image, value: _translate(image, value, 0),
    "translate_y": lambda image, value: _translate(image, 0, value),
    "rotate": F.rotate,
    "brightness": F.adjust_brightness,
    "color": F.adjust_saturation,
    "contrast": F.adjust_contrast,
    "sharpness": F.adjust_sharpness,
    "posterize": lambda image, bits: F.posterize(image, int(bits)),
    "solarize": F.solarize,
    "auto_contrast": F.autocontrast,
    "equalize": F.equalize,
}
