"""Draw one scene of handwritten digits on a textured canvas; every draw comes from one generator."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

# Planted co-occurrence: a digit's friends are drawn FRIEND times as often once it is in the scene, strangers
# never. Strangers are pairs that look alike, so that a model that learns who meets whom reads
# the unclear ones better.
FRIENDS = ((0, 6), (1, 2), (3, 5), (4, 7), (8, 9))
STRANGERS = ((0, 2), (1, 7), (3, 8), (4, 9), (5, 6))
FRIEND, REPEAT = 8.0, 0.15
FREQUENCY = (1.0, 1.3, 0.9, 1.2, 0.8, 0.7, 1.0, 0.6, 0.8, 0.7)
DIGITS_PER_SCENE = (0.24, 0.28, 0.24, 0.15, 0.09)  # chance of 1, 2, 3, 4, 5 digits
_SPLIT_KEYS = {"train": 0, "validation": 1, "test": 2}
_SPLIT_SHARES = (0.7, 0.1, 0.2)


class PlacedDigit(NamedTuple):
    """A digit of a scene: its label 0..9 and its box (left, top, right, bottom), in pixels, half open."""

    label: int
    box: tuple[int, int, int, int]


@lru_cache(maxsize=1)
def _digit_pool() -> dict[tuple[int, int], np.ndarray]:
    """(split key, label) -> (n, 8, 8) digits in [0, 1]; the splits share no picture, whatever the seed."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = digits.images.astype(np.float32) / 16.0, digits.target
    pool = {}
    for label in range(10):
        members = np.random.default_rng(label).permutation(np.flatnonzero(labels == label))
        cuts = np.cumsum([round(len(members) * share) for share in _SPLIT_SHARES[:-1]])
        for key, part in enumerate(np.split(members, cuts)):
            pool[key, label] = images[part]
    return pool


def digit_pool(split: str, label: int) -> np.ndarray:
    """Handwritten digits (n, 8, 8) in [0, 1] that scenes of a split may use for a label 0..9."""
    return _digit_pool()[_SPLIT_KEYS[split], label]


def scene_labels(seed: int, split: str, index: int) -> list[int]:
    """Labels 0..9 of the digits of a scene, in drawing order; a digit may come twice."""
    rng = _generator(seed, split, index, stream=0)
    count = 1 + int(rng.choice(5, p=DIGITS_PER_SCENE))
    weights = np.array(FREQUENCY)
    labels: list[int] = []
    for _ in range(count):
        label = int(rng.choice(10, p=weights / weights.sum()))
        labels.append(label)
        for pairs, factor in ((FRIENDS, FRIEND), (STRANGERS, 0.0)):
            for pair in pairs:
                if label in pair:
                    weights[pair[1] if pair[0] == label else pair[0]] *= factor
        weights[label] *= REPEAT
    return labels


def draw_scene(seed: int, split: str, index: int, image_size: int = 64) -> tuple[Image.Image, list[PlacedDigit]]:
    """Draw a scene.

    Args:
        seed: seed of the data set.
        split: "train", "validation" or "test"; each has its own handwritten digits.
        index: number of the scene in its split.
        image_size: side in pixels; all sizes scale with it.

    Returns:
        The RGB image and the true place of every digit.
    """
    rng = _generator(seed, split, index, stream=1)
    canvas = _texture(rng, image_size)
    _scribble(canvas, rng, image_size)
    placed: list[PlacedDigit] = []
    for label in scene_labels(seed, split, index):
        pool = digit_pool(split, label)
        mask = _digit_mask(pool[rng.integers(len(pool))], rng, image_size)
        placed.append(_place(canvas, mask, label, placed, rng))
    canvas += rng.normal(0.0, rng.uniform(0.02, 0.06), canvas.shape)
    pixels = (np.clip(canvas, 0.0, 1.0) * 255.0).round().astype(np.uint8)
    return Image.fromarray(pixels), placed


def _generator(seed: int, split: str, index: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, _SPLIT_KEYS[split], index, stream])


def _texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """A canvas (size, size, 3): a base colour, smooth coloured blobs and fine waves."""
    canvas = np.empty((size, size, 3))
    canvas[:] = rng.uniform(0.1, 0.45, 3)
    for cells, strength in ((3, 0.1), (9, 0.05)):
        coarse = rng.normal(0.0, strength, (cells, cells, 3)).astype(np.float32)
        for channel in range(3):
            blob = Image.fromarray(coarse[..., channel]).resize((size, size), Image.Resampling.BICUBIC)
            canvas[..., channel] += np.asarray(blob)
    rows, columns = np.mgrid[0:size, 0:size] / size
    for _ in range(2):
        angle, waves = rng.uniform(0, np.pi), rng.uniform(4, 12)
        phase = 2 * np.pi * (waves * (np.cos(angle) * rows + np.sin(angle) * columns) + rng.uniform())
        canvas += rng.uniform(0.0, 0.06) * np.sin(phase)[..., None]
    return canvas


def _scribble(canvas: np.ndarray, rng: np.random.Generator, size: int) -> None:
    """Pen strokes that belong to no digit, so that ink alone is no evidence."""
    for _ in range(int(rng.integers(0, 4))):
        layer = Image.new("L", (size * 2, size * 2))
        pen = ImageDraw.Draw(layer)
        width = int(rng.integers(size // 20, size // 9))
        x, y = rng.uniform(0, 2 * size, 2)
        reach_x, reach_y = rng.uniform(0.1, 0.5, 2) * size
        start = rng.uniform(0, 360)
        if rng.uniform() < 0.5:
            box = (x - reach_x, y - reach_y, x + reach_x, y + reach_y)
            pen.arc(box, start, start + rng.uniform(60, 200), 255, width)
        else:
            pen.line((x - reach_x, y - reach_y, x + reach_x * np.cos(start), y + reach_y), 255, width)
        mask = np.asarray(layer.resize((size, size), Image.Resampling.BOX), dtype=np.float32) / 255.0
        _ink(canvas, mask * rng.uniform(0.6, 1.0), rng)


def _digit_mask(digit: np.ndarray, rng: np.random.Generator, image_size: int) -> np.ndarray:
    """The 8x8 digit, upscaled smoothly, turned, slanted, squeezed: opacity in [0, 1], cropped to its ink."""
    side = round(image_size * rng.uniform(0.24, 0.48))
    aspect, slant, turn = rng.uniform(0.75, 1.25), rng.uniform(-0.25, 0.25), np.deg2rad(rng.uniform(-22, 22))
    out = 2 * side
    padded = np.pad(digit, 2)
    scale = 8.0 / side
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    inverse = scale * np.array([[1.0 / aspect, slant], [0.0, 1.0]]) @ rotation
    offset = np.array([6.0, 6.0]) - inverse @ np.array([out / 2, out / 2])
    coefficients = (inverse[0, 0], inverse[0, 1], offset[0], inverse[1, 0], inverse[1, 1], offset[1])
    image = Image.fromarray((padded * 255).astype(np.uint8))
    warped = image.transform((out, out), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
    mask = np.clip((np.asarray(warped, dtype=np.float32) / 255.0 - 0.3) / 0.4, 0.0, 1.0)
    rows, columns = np.flatnonzero(mask.max(1) > 0.3), np.flatnonzero(mask.max(0) > 0.3)
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _place(
    canvas: np.ndarray, mask: np.ndarray, label: int, placed: list[PlacedDigit], rng: np.random.Generator
) -> PlacedDigit:
    """Ink the digit where it hides the least of the digits before it, out of a few random places."""
    size, (height, width) = canvas.shape[0], mask.shape
    best: tuple[float, int, int] | None = None
    for _ in range(4):
        top, left = int(rng.integers(0, size - height + 1)), int(rng.integers(0, size - width + 1))
        overlap = max((_covered(d.box, (left, top, left + width, top + height)) for d in placed), default=0.0)
        if best is None or overlap < best[0]:
            best = (overlap, top, left)
    assert best is not None
    _, top, left = best
    _ink(canvas[top : top + height, left : left + width], mask * rng.uniform(0.7, 1.0), rng)
    return PlacedDigit(label, (left, top, left + width, top + height))


def _covered(box: tuple[int, int, int, int], by: tuple[int, int, int, int]) -> float:
    """Share of `box` that `by` covers."""
    width = min(box[2], by[2]) - max(box[0], by[0])
    height = min(box[3], by[3]) - max(box[1], by[1])
    return max(width, 0) * max(height, 0) / ((box[2] - box[0]) * (box[3] - box[1]))


def _ink(region: np.ndarray, opacity: np.ndarray, rng: np.random.Generator) -> None:
    """Blend a colour into the region, lighter than what lies there by a random contrast: chalk on a coloured board."""
    below = region.mean((0, 1))
    contrast = rng.uniform(0.25, 0.6)
    colour = np.clip(below + contrast + rng.normal(0.0, 0.08, 3), 0.0, 1.0)
    region += opacity[..., None] * (colour - region)
