"""The drawn operations on arrays, through albumentations' functions and OpenCV: the fast backend.

Functions are called with our own drawn values, not through pipelines: nothing has to be seeded, and both
backends do the same. albumentations' functions are used where they compute what Pillow computes; where they
do not (its "pil" equalization is up to 3 levels off, its affine maps count places from other corners), OpenCV
does it here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence

# set before the import, or the package asks the network for its newest version
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import cv2
import numpy as np
from albumentations.augmentations.geometric import functional as geometric
from albumentations.augmentations.pixel import functional as pixel

from mlic_hf.data.drawn_operations import Operation

# data-loader workers are the parallelism; OpenCV's own threads would crowd them and do not survive a fork
cv2.setNumThreads(0)

LEVELS = np.arange(256)
# a Gaussian narrower than this (pixels squared) leaves an image as it is: shrinking by up to 1.06
LEAST_VARIANCE = 0.02
# Pillow's smoothing kernel, the far end of its sharpness scale
SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13


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
    canvas = np.full((height, width, 3), fill, np.uint8)
    seen = image[max(0, top) : top + height, max(0, left) : left + width]
    y, x = max(0, -top), max(0, -left)
    canvas[y : y + seen.shape[0], x : x + seen.shape[1]] = seen
    return canvas


def _gaussian(variance: float) -> tuple[int, float]:
    """Taps and sigma of a sampled Gaussian with this variance, in pixels squared."""
    if variance < LEAST_VARIANCE:
        return 1, 1.0
    if variance < 0.5:
        # three taps w, 1, w over 1 + 2w have the variance 2w / (1 + 2w), which sigma^2 is far from
        return 3, math.sqrt(-0.5 / math.log(variance / (2 * (1 - variance))))
    return 2 * round(2 * math.sqrt(variance)) + 1, math.sqrt(variance)


def _resize(image: np.ndarray, width: float, height: float) -> np.ndarray:
    """Bilinear; what shrinks is smoothed first, so that it equals Pillow's antialiased resize closely.

    Shrinking by f, Pillow weighs pixels with a triangle of variance f^2 / 6. Bilinear sampling itself has
    variance 1 / 6, so a Gaussian of variance (f^2 - 1) / 6 before it gives the same spread. It is nearer to
    Pillow than OpenCV's area averaging where f is 1.6 or more, and three times as fast.
    """
    size_x, x = _gaussian(((image.shape[1] / width) ** 2 - 1) / 6)
    size_y, y = _gaussian(((image.shape[0] / height) ** 2 - 1) / 6)
    if size_x > 1 or size_y > 1:
        image = cv2.GaussianBlur(image, (size_x, size_y), sigmaX=x, sigmaY=y)
    return geometric.resize(image, (int(height), int(width)), cv2.INTER_LINEAR)


def _crop(image: np.ndarray, left: float, top: float, width: float, height: float) -> np.ndarray:
    return image[int(top) : int(top + height), int(left) : int(left + width)]


def _cutout(image: np.ndarray, *values: float) -> np.ndarray:
    left, top, right, bottom, red, green, blue = (int(value) for value in values)
    image = image.copy()
    image[top:bottom, left:right] = (red, green, blue)
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
    return _affine(image, np.array([[1.0, 0.0, -x], [0.0, 1.0, -y]]))


def _rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    height, width = image.shape[:2]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = width / 2, height / 2
    return _affine(
        image,
        np.array([[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y]]),
    )


def _table(values: np.ndarray) -> np.ndarray:
    """A look-up table of 256 levels; fractions are cut off, as Pillow does."""
    return values.clip(0, 255).astype(np.uint8)


def _grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _brightness(image: np.ndarray, factor: float) -> np.ndarray:
    return cv2.LUT(image, _table(LEVELS * factor))


def _contrast(image: np.ndarray, factor: float) -> np.ndarray:
    mean = int(_grey(image).mean() + 0.5)
    return cv2.LUT(image, _table(mean + (LEVELS - mean) * factor))


def _color(image: np.ndarray, factor: float) -> np.ndarray:
    grey = cv2.cvtColor(_grey(image), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, factor, grey, 1 - factor, 0)


def _sharpness(image: np.ndarray, factor: float) -> np.ndarray:
    smooth = image.copy()
    smooth[1:-1, 1:-1] = cv2.filter2D(image, -1, SMOOTH)[1:-1, 1:-1]
    return cv2.addWeighted(image, factor, smooth, 1 - factor, 0)


def _solarize(image: np.ndarray, threshold: float) -> np.ndarray:
    return cv2.LUT(image, _table(np.where(threshold > LEVELS, LEVELS, 255 - LEVELS)))


def _histograms(image: np.ndarray) -> list[np.ndarray]:
    """How many pixels have each of 256 levels, for each channel."""
    planes = [cv2.calcHist([image], [channel], None, [256], [0, 256]) for channel in range(3)]
    return [plane.ravel().astype(np.int64) for plane in planes]


def _auto_contrast(image: np.ndarray) -> np.ndarray:
    tables = np.empty((1, 256, 3), np.uint8)
    for channel, counts in enumerate(_histograms(image)):
        low, high = np.flatnonzero(counts)[[0, -1]]
        stretched = (LEVELS - low) * (255.0 / (high - low)) if high > low else LEVELS
        tables[0, :, channel] = _table(np.asarray(stretched))
    return cv2.LUT(image, tables)


def _equalize(image: np.ndarray) -> np.ndarray:
    tables = np.empty((1, 256, 3), np.uint8)
    for channel, counts in enumerate(_histograms(image)):
        step = int(counts.sum() - counts[np.flatnonzero(counts)[-1]]) // 255
        darker = counts.cumsum() - counts
        tables[0, :, channel] = _table((step // 2 + darker) // step if step else LEVELS)
    return cv2.LUT(image, tables)


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
    "auto_contrast": _auto_contrast,
    "equalize": _equalize,
}
