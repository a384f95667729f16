"""Confidence intervals of mAP, and of the difference of two models, by resampling images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlic_hf.metrics.average_precision import mean_average_precision
from mlic_hf.metrics.cells import LabelCells, as_arrays, label_cells

# What is gathered for as many resamples stays in the cache.
RESAMPLES_AT_ONCE = 32


@dataclass(frozen=True)
class BootstrapInterval:
    """`value` on the given images, its percentile interval [`low`, `high`], and the resampled values."""

    value: float
    low: float
    high: float
    confidence: float
    samples: np.ndarray

    def __str__(self) -> str:
        return f"{self.value:.4f} ({100 * self.confidence:g} % from {self.low:.4f} to {self.high:.4f})"

    @property
    def standard_error(self) -> float:
        """Standard deviation of the resampled values."""
        return float(self.samples.std(ddof=1))


def bootstrap_map(
    scores: Any, targets: Any, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> BootstrapInterval:
    """Percentile bootstrap of mAP (kind `average_precision`) over images.

    Each resample draws as many images as there are, with replacement; labels without positives in a resample
    are left out of its mean. Equal to computing mAP of every resample anew, but each label is sorted once: a
    resample only weighs the images by how often they were drawn.

    Args:
        scores: (images, labels).
        targets: (images, labels) of 1, 0 and -1 (left out).
        resamples: how many resamples.
        confidence: width of the interval, in (0, 1).
        seed: resample r draws `resampled_images(images, seed, r)`.

    Raises:
        ValueError: resamples < 2, confidence outside (0, 1), a resample without any positive; as
            `average_precision`.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", chapter 13.
    """
    scores, targets = as_arrays(scores, targets)
    value, _ = mean_average_precision(scores, targets)
    weights = _draw(len(scores), resamples, confidence, seed)
    return _interval(value, _resampled_map(scores, targets, weights), confidence)


def paired_bootstrap_map(
    scores: Any, baseline: Any, targets: Any, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> BootstrapInterval:
    """Percentile bootstrap of mAP(scores) - mAP(baseline) on the same resamples of the same images.

    An interval that excludes 0 says that the two models differ by more than the choice of images explains.

    Args:
        scores, baseline: (images, labels) of the two models.
        targets: (images, labels) of 1, 0 and -1 (left out), common to both.
        resamples, confidence, seed: as in `bootstrap_map`.

    Raises:
        ValueError: as `bootstrap_map`.
    """
    return paired_bootstrap_gain([scores], [baseline], targets, resamples, confidence, seed)


def paired_bootstrap_gain(
    scores: Sequence[Any],
    baselines: Sequence[Any],
    targets: Any,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> BootstrapInterval:
    """Percentile bootstrap of the mean over runs of mAP(run) - mAP(its baseline), over images and runs together.

    A method is trained several times, each time beside a baseline that shares its seed. Each resample draws images,
    the same for all models, and as many pairs as there are, with replacement. An interval that excludes 0 says that
    the methods differ by more than the choice of images and the luck of the seeds explain. Of n pairs a bootstrap
    shows (n - 1) / n of their variance: with two or three the interval is somewhat too narrow.

    Args:
        scores, baselines: a run's (images, labels) each, in the same order of seeds.
        targets: (images, labels) of 1, 0 and -1 (left out), common to all.
        resamples, confidence, seed: as in `bootstrap_map`; the pairs are drawn by `resampled_pairs`.

    Raises:
        ValueError: no runs, or not as many baselines; as `bootstrap_map`.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", chapter 8 (more than one source of variation).
    """
    if not scores or len(scores) != len(baselines):
        raise ValueError(f"found {len(scores)} runs and {len(baselines)} baselines; expected one for each, and some.")
    pairs = [(as_arrays(run, targets)[0], as_arrays(baseline, targets)[0]) for run, baseline in zip(scores, baselines)]
    targets = as_arrays(scores[0], targets)[1]
    values = [mean_average_precision(a, targets)[0] - mean_average_precision(b, targets)[0] for a, b in pairs]
    weights = _draw(len(targets), resamples, confidence, seed)
    gains = np.stack([_resampled_map(a, targets, weights) - _resampled_map(b, targets, weights) for a, b in pairs])
    drawn = resampled_pairs(len(pairs), resamples, seed)
    samples = gains[drawn, np.arange(resamples)[:, None]].mean(axis=1)
    return _interval(float(np.mean(values)), samples, confidence)


def resampled_pairs(pairs: int, resamples: int, seed: int) -> np.ndarray:
    """(resamples, pairs) the pairs of runs that each resample draws: a function of its three arguments alone."""
    return np.random.default_rng([seed, resamples, pairs]).integers(0, pairs, (resamples, pairs))


def resampled_images(images: int, seed: int, resample: int) -> np.ndarray:
    """(images,) row numbers that a resample draws: a function of its three arguments alone."""
    return np.random.default_rng([seed, resample]).integers(0, images, images)


def _draw(images: int, resamples: int, confidence: float, seed: int) -> list[np.ndarray]:
    """How often each image is drawn, in blocks of (images, some resamples), one byte each."""
    if resamples < 2:
        raise ValueError(f"resamples is {resamples}; expected at least 2.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; expected a number between 0 and 1, such as 0.95.")
    blocks = []
    for first in range(0, resamples, RESAMPLES_AT_ONCE):
        columns = range(first, min(first + RESAMPLES_AT_ONCE, resamples))
        drawn = [np.bincount(resampled_images(images, seed, column), minlength=images) for column in columns]
        block = np.stack(drawn, axis=1)
        # a count beyond 255 is all but impossible, yet it must not wrap around in silence
        blocks.append(block.astype(np.uint8 if block.max() < 256 else np.uint32))
    return blocks


def _resampled_map(scores: np.ndarray, targets: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    """mAP of every resample: sum of the defined average precisions over their number."""
    total, defined = np.zeros((2, sum(block.shape[1] for block in weights)))
    for column in label_cells(scores, targets):
        if column.positive.any():
            values, has_positives = _weighted_average_precision(column, weights)
            total += values
            defined += has_positives
    if not defined.all():
        raise ValueError("a resample holds no positive image of any label: there are too few of them for a bootstrap.")
    return total / defined


def _weighted_average_precision(column: LabelCells, weights: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """A label's average precision in each resample (0 where undefined), and where it is defined."""
    order = np.argsort(column.scores)
    rows = order if column.rows is None else column.rows[order]
    ordered, positive = column.scores[order], column.positive[order]
    found = ordered[positive]
    values = np.unique(found)
    starts, positive_starts = np.searchsorted(ordered, values), np.searchsorted(found, values)
    results = []
    for block in weights:
        predicted = np.cumsum(_sum_runs(block, rows, starts)[::-1], axis=0)
        gained = _sum_runs(block, rows[positive], positive_starts)[::-1]
        hits = np.cumsum(gained, axis=0)
        average = (gained * (hits / np.maximum(predicted, 1))).sum(axis=0) / np.maximum(hits[-1], 1)
        results.append((average, hits[-1] > 0))
    averages, defined = zip(*results)
    return np.concatenate(averages), np.concatenate(defined)


def _sum_runs(weights: np.ndarray, rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums over runs of the rows in their order, each from one start to the next, the last to the end."""
    # all weights of a resample sum to the number of images, so this type cannot overflow
    total = np.uint16 if len(weights) < 1 << 16 else np.uint32
    return np.add.reduceat(weights.take(rows, axis=0), starts, axis=0, dtype=total)


def _interval(value: float, samples: np.ndarray, confidence: float) -> BootstrapInterval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return BootstrapInterval(value, float(low), float(high), confidence, samples)
