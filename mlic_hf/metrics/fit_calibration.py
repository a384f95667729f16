"""A scale and a shift of every label's logit, so that its probability is the frequency with which it is right."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlic_hf.metrics.cells import as_arrays, label_cells

RULES = ("temperature", "platt")
SMALLEST_SCALE = 1e-3  # above 0, so that no order of two images changes
STEPS = 50


def fit_calibration(logits: Any, targets: Any, rule: str = "platt", fewest: int = 10) -> list[list[float]]:
    """[scale, shift] for each label, so that sigmoid(scale * logit + shift) is calibrated on a validation set.

    Minimises the cross-entropy of each label over its known images, by Newton steps, with Platt's soft targets
    (N+ + 1) / (N+ + 2) and 1 / (N- + 2) in place of 1 and 0, which keep the answer finite where a logit separates the
    images. The scale stays above 0: no order of two images changes, and so no average precision.

    Args:
        logits: (images, labels) of a set that was not trained on.
        targets: (images, labels) of 1, 0 and -1 (left out).
        rule: "temperature" fits the scale alone (1 / T, the shift is 0), "platt" both.
        fewest: a label with fewer positives or fewer negatives than this says too little; it is given the one
            scale and shift that fit all cells of all labels together.

    Returns:
        (labels) pairs of Python floats, ready for a config; [1.0, 0.0] everywhere when the set has no positive or no
        negative at all.

    Raises:
        ValueError: another rule, fewest < 1; bad shapes, logits or targets.

    Source: Platt, Probabilistic Outputs for Support Vector Machines (1999); Guo et al., On Calibration of Modern
        Neural Networks (ICML 2017), here for one label at a time.
    """
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}; expected one of {', '.join(RULES)}.")
    if fewest < 1:
        raise ValueError(f"fewest is {fewest}; a label needs at least 1 positive and 1 negative image.")
    logits, targets = as_arrays(logits, targets)
    columns = [(column.astype(np.float64), positive) for _, column, positive, _ in label_cells(logits, targets)]
    everything = np.concatenate([c for c, _ in columns]), np.concatenate([p for _, p in columns])
    shared = _fit(*everything, rule, fewest=1)
    fits = [_fit(column, positive, rule, fewest) for column, positive in columns]
    return [[1.0, 0.0] if (fit := own or shared) is None else [float(fit[0]), float(fit[1])] for own in fits]


def apply_calibration(logits: Any, calibration: Any) -> np.ndarray:
    """sigmoid(scale * logit + shift), in double precision.

    Args:
        logits: (images, labels).
        calibration: (labels) pairs of `fit_calibration`.

    Raises:
        ValueError: when the pairs are not one a label.
    """
    logits, pairs = np.asarray(logits, np.float64), np.asarray(calibration, np.float64)
    if pairs.shape != (logits.shape[-1], 2):
        raise ValueError(
            f"calibration has the shape {pairs.shape}; expected [scale, shift] for each of {logits.shape[-1]} labels."
        )
    return _sigmoid(pairs[:, 0] * logits + pairs[:, 1])


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -logits))


def _fit(column: np.ndarray, positive: np.ndarray, rule: str, fewest: int) -> tuple[float, float] | None:
    """Scale and shift of one column, or None where it has too few positives or negatives."""
    hits, misses = int(positive.sum()), int((~positive).sum())
    if min(hits, misses) < fewest:
        return None
    wanted = np.where(positive, (hits + 1) / (hits + 2), 1 / (misses + 2))
    unit = max(float(np.abs(column).max()), 1e-12)  # Newton's steps are to see numbers of about 1
    inputs = np.stack([column / unit, np.ones_like(column)], axis=1)[:, : 2 if rule == "platt" else 1]
    found = _newton(inputs, wanted, np.eye(inputs.shape[1])[0] * unit)
    if found[0] < SMALLEST_SCALE * unit:
        # the logit says nothing, or the opposite: all but the frequency is left out
        rest = inputs[:, 0] * SMALLEST_SCALE * unit
        shift = _newton(inputs[:, 1:], wanted, np.zeros(inputs.shape[1] - 1), rest)
        found = np.concatenate([[SMALLEST_SCALE * unit], shift])
    return found[0] / unit, found[1] if rule == "platt" else 0.0


def _newton(inputs: np.ndarray, wanted: np.ndarray, start: np.ndarray, rest: np.ndarray | float = 0.0) -> np.ndarray:
    """The weights that minimise the cross-entropy of sigmoid(inputs @ weights + rest); convex, so steps are halved
    until they go down."""
    weights = start.astype(np.float64)

    def cost(trial: np.ndarray) -> float:
        scores = inputs @ trial + rest
        return float(np.mean(np.logaddexp(0, scores) - wanted * scores))

    best = cost(weights)
    for _ in range(STEPS if weights.size else 0):
        p = _sigmoid(inputs @ weights + rest)
        gradient = inputs.T @ (p - wanted) / len(wanted)
        curvature = (inputs * (p * (1 - p))[:, None]).T @ inputs / len(wanted) + 1e-12 * np.eye(weights.size)
        step = np.linalg.solve(curvature, gradient)
        share = 1.0
        while share > 1e-6 and cost(weights - share * step) > best:
            share /= 2
        weights, before = weights - share * step, best
        best = cost(weights)
        if before - best < 1e-12:
            break
    return weights
