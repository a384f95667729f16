"""Draws what will be done to an image; the backends then do it.

Drawing and doing are apart so that both backends apply the same operations with the same values: they can
differ in the last bits of a pixel, never in what is done.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mlic_hf.data.transform_config import MAGNITUDE_BINS, TransformConfig


class Operation(NamedTuple):
    """One step: a name that both backends know, and its drawn values (units: pixels, degrees or factors)."""

    name: str
    values: tuple[float, ...] = ()


# Greatest values of torchvision's RandAugment (Cubuk et al. 2020), reached at magnitude 30.
SHEAR, ROTATE_DEGREES, ENHANCE, TRANSLATE = 0.3, 30.0, 0.9, 150.0 / 331.0
SIGNED_RANGES = {
    "shear_x": SHEAR,
    "shear_y": SHEAR,
    "translate_x": TRANSLATE,
    "translate_y": TRANSLATE,
    "rotate": ROTATE_DEGREES,
    "brightness": ENHANCE,
    "color": ENHANCE,
    "contrast": ENHANCE,
    "sharpness": ENHANCE,
}
RAND_AUGMENT_OPERATIONS = ("identity", *SIGNED_RANGES, "posterize", "solarize", "auto_contrast", "equalize")


def draw_operations(
    config: TransformConfig, width: int, height: int, generator: np.random.Generator
) -> list[Operation]:
    """The operations for one view of one image, in the order of their use.

    Args:
        config: the pipeline (kind "train").
        width: of the image as decoded, in pixels.
        height: likewise.
        generator: where every draw comes from; which draws are made does not depend on the backend.

    Returns:
        operations whose last result is `image_size` wide and high.
    """
    side = config.image_size
    operations = _draw_geometry(config, width, height, generator)
    if config.hflip and generator.random() < 0.5:
        operations.append(Operation("hflip"))
    if config.cutout > 0:
        operations.append(draw_cutout(side, config.cutout, generator))
    if config.rand_augment:
        operations += [draw_rand_augment(config.magnitude, side, generator) for _ in range(config.num_ops)]
    return operations


def _draw_geometry(
    config: TransformConfig, width: int, height: int, generator: np.random.Generator
) -> list[Operation]:
    side = config.image_size
    if config.resize == "random_resized_crop":
        box = draw_crop(width, height, config.scale, config.ratio, generator)
        return [Operation("crop", box), Operation("resize", (side, side))]
    if config.resize == "long_side_crop":
        low, high = (round(length * side / 512) for length in config.long_side)
        factor = int(generator.integers(low, high + 1)) / max(width, height)
        new_width, new_height = max(1, round(width * factor)), max(1, round(height * factor))
        left, top = (_draw_offset(length, side, generator) for length in (new_width, new_height))
        return [Operation("resize", (new_width, new_height)), Operation("place", (left, top, side, side))]
    return [Operation("resize", (side, side))]


def _draw_offset(length: int, side: int, generator: np.random.Generator) -> int:
    """Where a window of `side` starts on a line of `length`; negative when the line is the shorter one."""
    low, high = sorted((0, length - side))
    return int(generator.integers(low, high + 1))


def draw_crop(
    width: int,
    height: int,
    scale: Sequence[float],
    ratio: Sequence[float],
    generator: np.random.Generator,
) -> tuple[int, int, int, int]:
    """A box (left, top, width, height) with a share of the area in `scale` and a width/height in `ratio`.

    Ten tries, then the largest box in the middle whose shape is allowed: torchvision's RandomResizedCrop.
    """
    low, high = ratio
    least, most = scale
    for _ in range(10):
        area = width * height * generator.uniform(least, most)
        shape = math.exp(generator.uniform(math.log(low), math.log(high)))
        box_width, box_height = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < box_width <= width and 0 < box_height <= height:
            left = int(generator.integers(0, width - box_width + 1))
            top = int(generator.integers(0, height - box_height + 1))
            return left, top, box_width, box_height
    box_width, box_height = width, height
    if width / height < low:
        box_height = round(width / low)
    elif width / height > high:
        box_width = round(height * high)
    return (width - box_width) // 2, (height - box_height) // 2, box_width, box_height


def draw_cutout(side: int, fraction: float, generator: np.random.Generator) -> Operation:
    """A box of `fraction` of the side around a random pixel, cut off at the borders, in one random colour.

    Values: left, top, right, bottom (the last two not included), red, green, blue.
    """
    length = int(fraction * side + 0.5)
    x, y = (int(value) for value in generator.integers(0, side, 2))
    left, top = max(0, x - length // 2), max(0, y - length // 2)
    right, bottom = min(side, x - length // 2 + length), min(side, y - length // 2 + length)
    colour = (int(value) for value in generator.integers(0, 256, 3))
    return Operation("cutout", (left, top, right, bottom, *colour))


def draw_rand_augment(magnitude: int, side: int, generator: np.random.Generator) -> Operation:
    """One of RandAugment's fourteen operations, each as likely, at a fixed magnitude and a random sign.

    Values: shears as tangents, translations in whole pixels, rotation in degrees (counter-clockwise),
    enhancements as factors around 1, posterize in bits kept, solarize as a threshold in 0..255.
    """
    name = RAND_AUGMENT_OPERATIONS[int(generator.integers(len(RAND_AUGMENT_OPERATIONS)))]
    share = magnitude / (MAGNITUDE_BINS - 1)
    if name in SIGNED_RANGES:
        value = SIGNED_RANGES[name] * share * (1 if generator.random() < 0.5 else -1)
        if name.startswith("translate"):
            value = int(value * side)
        elif SIGNED_RANGES[name] == ENHANCE:
            value += 1.0
        return Operation(name, (value,))
    if name == "posterize":
        return Operation(name, (round(8 - 4 * share),))
    if name == "solarize":
        return Operation(name, (255.0 * (1 - share),))
    return Operation(name)
