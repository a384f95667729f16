"""The drawn operations on arrays, through albumentations' functions and OpenCV: the fast backend.

Functions are called with our own drawn values, not through pipelines: nothing has to be seeded, and both
backends do the same. albumentations' functions are used where they compute what Pillow computes; where they
do not (its resize does not antialias, its "pil" equalization is up to 3 levels off, its affine maps count
places from other corners), torch and OpenCV do it here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence

# set before the import, or the package asks the network for its newest version
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import cv2
import numpy as np
import torch
from albucore import sz_lut
from albumentations.augmentations.crops import functional as crops
from albumentations.augmentations.pixel import functional as pixel
from torch.nn.functional import interpolate

from mlic_hf.data.drawn_operations import Operation

# data-loader workers are the parallelism; OpenCV's own threads would crowd them and do not survive a fork
cv2.setNumThreads(0)

LEVELS = np.arange(256)
# Pillow's smoothing kernel, the far end of its sharpness scale
SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13
UNCHANGED = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)


def apply_with_albumentations(
    image: np.ndarray, operations: Sequence[Operation], fill: tuple[int, int, int]
) -> np.ndarray:
    """Apply drawn operations to an array.

    Args:
        image: (height, width, 3) uint8, RGB.
        operations: of `draw_operations`.
        fill: colour of what "place" leaves empty, 0..255.

    Returns:
        (height, width, 3) uint8; the input is not changed.
    """
    for name, values in operations:
        if name == "place":
            image = _place(image, values, fill)
        else:
            image = OPERATIONS[name](image, *values)
    return image


def _place(image: np.ndarray, values: Sequence[float], fill: tuple[int, int, int]) -> np.ndarray:
    left, top, width, height = (int(value) for value in values)
    canvas = np.zeros((height, width, 3), np.uint8)
    if any(fill):
        canvas[:] = fill
    seen = image[max(0, top) : top + height, max(0, left) : left + width]
    y, x = max(0, -top), max(0, -left)
    canvas[y : y + seen.shape[0], x : x + seen.shape[1]] = seen
    return canvas


def _resize(image: np.ndarray, width: float, height: float) -> np.ndarray:
    """Bilinear, antialiased where it shrinks: torch's kernel for 8-bit images is Pillow's to two levels."""
    # whole rows and channels last, where the kernel is forty times as fast as on a part of a picture
    batch = torch.from_numpy(np.ascontiguousarray(image))[None].permute(0, 3, 1, 2)
    resized = interpolate(batch, (int(height), int(width)), mode="bilinear", antialias=True)
    return resized.permute(0, 2, 3, 1)[0].numpy()


def _crop(image: np.ndarray, left: float, top: float, width: float, height: float) -> np.ndarray:
    return crops.crop(image, int(left), int(top), int(left + width), int(top + height))


def _cutout(image: np.ndarray, *values: float) -> np.ndarray:
    left, top, right, bottom, *colour = (int(value) for value in values)
    image = image.copy()
    if left < right and top < bottom:  # OpenCV includes the last corner, and so has no empty box
        cv2.rectangle(image, (left, top), (right - 1, bottom - 1), colour, cv2.FILLED)
    return image


def _affine(image: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Nearest sampling at `inverse` (2, 3), which maps the centres of output pixels to input places."""
    height, width = image.shape[:2]
    # OpenCV counts places from the centre of the first pixel, Pillow from its corner
    matrix = inverse.astype(np.float64).copy()
    matrix[:, 2] += 0.5 * (matrix[:, 0] + matrix[:, 1]) - 0.5
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_CONSTANT)


def _shear(image: np.ndarray, x: float, y: float) -> np.ndarray:
    return _affine(image, np.array([[1.0, x, 0.0], [y, 1.0, 0.0]]))


def _translate(image: np.ndarray, x: float, y: float) -> np.ndarray:
    return _place(image, (-x, -y, image.shape[1], image.shape[0]), (0, 0, 0))


def _rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    height, width = image.shape[:2]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = width / 2, height / 2
    return _affine(
        image,
        np.array([[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y]]),
    )


def _look_up(image: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The image with new levels for the 256 old ones; fractions are cut off, as Pillow does."""
    return sz_lut(image, levels.clip(0, 255).astype(np.uint8), inplace=False)


def _grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _brightness(image: np.ndarray, factor: float) -> np.ndarray:
    return _look_up(image, LEVELS * factor)


def _contrast(image: np.ndarray, factor: float) -> np.ndarray:
    mean = int(cv2.mean(_grey(image))[0] + 0.5)
    return _look_up(image, mean + (LEVELS - mean) * factor)


def _color(image: np.ndarray, factor: float) -> np.ndarray:
    grey = cv2.cvtColor(_grey(image), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, factor, grey, 1 - factor, 0)


def _sharpness(image: np.ndarray, factor: float) -> np.ndarray:
    sharp = cv2.filter2D(image, -1, factor * UNCHANGED + (1 - factor) * SMOOTH)
    sharp[[0, -1]], sharp[:, [0, -1]] = image[[0, -1]], image[:, [0, -1]]  # Pillow leaves the border
    return sharp


def _solarize(image: np.ndarray, threshold: float) -> np.ndarray:
    return _look_up(image, np.where(threshold > LEVELS, LEVELS, 255 - LEVELS))


def _by_channel(image: np.ndarray, levels_of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Each channel with new levels, made from its own histogram of 256 counts."""
    planes = cv2.split(image)
    counts = [cv2.calcHist([plane], [0], None, [256], [0, 256]).ravel() for plane in planes]
    return cv2.merge([_look_up(plane, levels_of(of_plane)) for plane, of_plane in zip(planes, counts)])


def _stretched(counts: np.ndarray) -> np.ndarray:
    low, high = counts.nonzero()[0][[0, -1]]
    return (LEVELS - low) * (255.0 / (high - low)) if high > low else LEVELS


def _equalized(counts: np.ndarray) -> np.ndarray:
    below = counts.astype(np.int64).cumsum()
    darker = np.concatenate(([0], below[:-1]))
    step = int(below[-1] - counts[counts.nonzero()[0][-1]]) // 255
    return (step // 2 + darker) // step if step else LEVELS


OPERATIONS: dict[str, Callable[..., np.ndarray]] = {
    "resize": _resize,
    "crop": _crop,
    "hflip": lambda image: cv2.flip(image, 1),
    "cutout": _cutout,
    "identity": lambda image: image,
    "shear_x": lambda image, value: _shear(image, value, 0.0),
    "shear_y": lambda image, value: _shear(image, 0.0, value),
    "translate_x": lambda image, value: _translate(image, value, 0),
    "translate_y": lambda image, value: _translate(image, 0, value),
    "rotate": _rotate,
    "brightness": _brightness,
    "color": _color,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": lambda image, bits: pixel.posterize(image, int(bits)),
    "solarize": _solarize,
    "auto_contrast": lambda image: _by_channel(image, _stretched),
    "equalize": lambda image: _by_channel(image, _equalized),
}
