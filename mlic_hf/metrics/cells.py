"""Scores and targets as checked numpy arrays, walked label by label or in blocks of images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

# Small enough for the cache and for "no more memory than the input", large enough to forget Python's loop.
LABELS_AT_ONCE = 32
IMAGES_AT_ONCE = 512
CELLS_AT_ONCE = 1 << 18


class LabelCells(NamedTuple):
    """A label's known cells: `scores` (n,), `positive` (n,) bool, `rows` (n,) or None for all images."""

    label: int
    scores: np.ndarray
    positive: np.ndarray
    rows: np.ndarray | None


class ImageBlock(NamedTuple):
    """Some consecutive images: `scores`, `positive`, `known`, each (n, labels)."""

    scores: np.ndarray
    positive: np.ndarray
    known: np.ndarray


def as_arrays(scores: Any, targets: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both arguments as numpy arrays of one shape; float scores are not copied.

    Args:
        scores: (images, labels) numbers; numpy, torch (any device, any float type) or nested lists.
        targets: (images, labels) of 1 (positive), 0 (negative) and -1 (left out).

    Returns:
        The two arrays. Half precision and integer scores become float32 and float64 (exactly).

    Raises:
        ValueError: not two dimensions, different shapes, no image or no label.
    """
    scores, targets = _to_numpy(scores), _to_numpy(targets)
    if scores.ndim != 2 or scores.shape != targets.shape:
        raise ValueError(
            f"scores have shape {scores.shape} and targets {targets.shape}; both must be (images, labels), "
            "one score and one target for every label of every image."
        )
    if scores.size == 0:
        raise ValueError(f"scores have shape {scores.shape}: there is no image or no label to measure.")
    if scores.dtype == np.float16:
        scores = scores.astype(np.float32)
    elif scores.dtype not in (np.float32, np.float64):
        try:
            scores = scores.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"scores are of type {scores.dtype}; expected numbers.") from error
    return scores, targets


def _to_numpy(values: Any) -> np.ndarray:
    if hasattr(values, "detach"):  # a torch tensor, without importing torch
        values = values.detach().cpu()
        values = values.float() if "bfloat16" in str(values.dtype) else values
        values = values.numpy()
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"scores and targets must be rectangular, (images, labels): {error}") from error


def label_cells(scores: np.ndarray, targets: np.ndarray) -> Iterator[LabelCells]:
    """Walk the labels; a few columns at a time are copied so that each lies contiguous in memory.

    Raises:
        ValueError: a score is not finite or a target is none of 1, 0 and -1.
    """
    num_images, num_labels = scores.shape
    for first in range(0, num_labels, LABELS_AT_ONCE):
        span = slice(first, first + LABELS_AT_ONCE)
        score_block = _transposed(scores[:, span])
        target_block = _transposed(targets[:, span])
        _check_finite(score_block, 0, first, transposed=True)
        for offset, (column, target) in enumerate(zip(score_block, target_block)):
            positive = target == 1
            num_unknown = num_images - np.count_nonzero(positive) - np.count_nonzero(target == 0)
            if num_unknown == 0:
                yield LabelCells(first + offset, column, positive, None)
                continue
            unknown = target == -1
            if np.count_nonzero(unknown) != num_unknown:
                _raise_bad_target(target[None], 0, first + offset, transposed=True)
            rows = np.flatnonzero(~unknown)
            yield LabelCells(first + offset, column[rows], positive[rows], rows)


def _transposed(block: np.ndarray) -> np.ndarray:
    """A contiguous (labels, images) copy, made in tiles: one long stride a score costs four times as much."""
    result = np.empty(block.shape[::-1], dtype=block.dtype)
    for first in range(0, len(block), IMAGES_AT_ONCE):
        result[:, first : first + IMAGES_AT_ONCE] = block[first : first + IMAGES_AT_ONCE].T
    return result


def image_blocks(scores: np.ndarray, targets: np.ndarray) -> Iterator[ImageBlock]:
    """Walk the images, some at a time.

    Raises:
        ValueError: a score is not finite or a target is none of 1, 0 and -1.
    """
    num_images, num_labels = scores.shape
    step = max(1, CELLS_AT_ONCE // num_labels)
    for first in range(0, num_images, step):
        score, target = scores[first : first + step], targets[first : first + step]
        _check_finite(score, first, 0, transposed=False)
        positive = target == 1
        known = positive | (target == 0)
        if not (known | (target == -1)).all():
            _raise_bad_target(target, first, 0, transposed=False)
        yield ImageBlock(score, positive, known)


def as_thresholds(threshold: Any, scores: np.ndarray) -> np.ndarray:
    """One threshold a label, in the scores' own precision (a stored 0.7 meets a float32 score of 0.7).

    Args:
        threshold: one number for all labels, or (labels,) numbers; -inf lets every score pass.
        scores: (images, labels).

    Raises:
        ValueError: the shape is neither () nor (labels,), or a threshold is NaN.
    """
    values = np.asarray(_to_numpy(threshold), dtype=scores.dtype)
    if values.shape not in ((), (1,), (scores.shape[1],)):
        raise ValueError(
            f"thresholds have shape {values.shape}; expected one number, "
            f"or one for each of the {scores.shape[1]} labels."
        )
    if np.isnan(values).any():
        raise ValueError("a threshold is NaN; expected numbers on the scale of the scores.")
    return np.broadcast_to(values, (scores.shape[1],))


def _check_finite(block: np.ndarray, first_image: int, first_label: int, transposed: bool) -> None:
    if np.isfinite(block).all():
        return
    place = np.argwhere(~np.isfinite(block))[0]
    value = block[tuple(place)]
    image, label = place[::-1] if transposed else place
    raise ValueError(
        f"the score of image {first_image + image}, label {first_label + label} is {value}; every score "
        "must be a finite number (did the model diverge, or overflow in half precision?)."
    )


def _raise_bad_target(block: np.ndarray, first_image: int, first_label: int, transposed: bool) -> None:
    place = np.argwhere(~np.isin(block, (1, 0, -1)))[0]
    value = block[tuple(place)]
    image, label = place[::-1] if transposed else place
    raise ValueError(
        f"the target of image {first_image + image}, label {first_label + label} is {value}; expected "
        "1 (positive), 0 (negative) or -1 (left out)."
    )
