"""Calibration: the optimum of its equation, an order that never changes, labels that say too little."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize

from mlic_hf.metrics import (
    apply_calibration,
    average_precision,
    calibration_error,
    fit_calibration,
    reliability,
)

RNG = np.random.default_rng(0)


def sample(images: int = 4000, scales: tuple[float, ...] = (3.0, 0.5, 1.0)) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `scales` times too large and shifted by 1, and targets that follow the true ones."""
    true = RNG.normal(-1, 2, (images, len(scales)))
    targets = (RNG.random(true.shape) < 1 / (1 + np.exp(-true))).astype(int)
    targets[RNG.random(true.shape) < 0.1] = -1
    return true * np.array(scales) + 1, targets


def cost(pair: np.ndarray, column: np.ndarray, target: np.ndarray) -> float:
    hits, misses = (target == 1).sum(), (target == 0).sum()
    wanted = np.where(target == 1, (hits + 1) / (hits + 2), 1 / (misses + 2))
    scores = pair[0] * column + pair[1]
    return float(np.mean(np.logaddexp(0, scores) - wanted * scores))


def scale_cost(scale: np.ndarray, column: np.ndarray, target: np.ndarray) -> float:
    return cost(np.array([scale[0], 0.0]), column, target)


@pytest.mark.parametrize("rule", ["platt", "temperature"])
def test_it_is_the_minimum(rule: str) -> None:
    logits, targets = sample(600)
    for label, pair in enumerate(fit_calibration(logits, targets, rule)):
        known = targets[:, label] >= 0
        column, target = logits[known, label], targets[known, label]
        if rule == "temperature":
            expected = [minimize(scale_cost, [1.0], (column, target), tol=1e-12).x[0], 0.0]
        else:
            expected = minimize(cost, [1.0, 0.0], (column, target), tol=1e-12).x
        np.testing.assert_allclose(pair, expected, rtol=1e-3, atol=1e-4)


def test_the_true_scale_and_shift_come_back_and_the_error_falls() -> None:
    scales = (3.0, 0.5, 1.0)
    logits, targets = sample(20000, scales)
    pairs = fit_calibration(logits, targets)
    np.testing.assert_allclose(pairs, [[1 / s, -1 / s] for s in scales], atol=0.08)
    before, after = (calibration_error(apply_calibration(logits, p), targets) for p in ([[1, 0]] * 3, pairs))
    assert before > 0.05
    assert after < 0.01
    np.testing.assert_array_equal(
        average_precision(logits, targets), average_precision(apply_calibration(logits, pairs), targets)
    )
    assert json.loads(json.dumps(pairs)) == pairs


def test_labels_that_say_too_little_take_what_fits_all() -> None:
    logits, targets = sample(500)
    targets[:, 1] = np.where(targets[:, 1] == 1, 0, targets[:, 1])  # no positive
    targets[:, 2] = -1  # nothing known
    pairs = fit_calibration(logits, targets)
    assert pairs[1] == pairs[2] != pairs[0]
    everything = fit_calibration(logits.reshape(-1, 1), targets.reshape(-1, 1))
    np.testing.assert_allclose(pairs[1], everything[0])
    strict = fit_calibration(logits, targets, fewest=10_000)
    assert strict == [pairs[1]] * 3
    assert fit_calibration(logits, np.zeros_like(targets)) == [[1.0, 0.0]] * 3


def test_nothing_runs_away() -> None:
    separated = np.array([[-2.0], [-1], [1], [2]] * 10)
    huge = 1e4 * separated
    turned = -separated  # the logit says the opposite
    targets = (separated > 0).astype(int)
    for logits in (separated, huge, turned, np.zeros_like(separated)):
        for rule in ("platt", "temperature"):
            ((scale, shift),) = fit_calibration(logits, targets, rule)
            assert scale > 0
            assert np.isfinite([scale, shift]).all()
            probabilities = apply_calibration(logits, [[scale, shift]])
            assert ((probabilities > 0) & (probabilities < 1)).all()
            np.testing.assert_array_equal(np.argsort(logits, axis=0), np.argsort(probabilities, axis=0))
    ((scale, shift),) = fit_calibration(turned, targets, "platt")
    np.testing.assert_allclose(apply_calibration(turned, [[scale, shift]]), 0.5, atol=0.01)


def test_bad_arguments() -> None:
    logits, targets = sample(20)
    with pytest.raises(ValueError, match="rule is 'isotonic'; expected one of temperature, platt"):
        fit_calibration(logits, targets, "isotonic")
    with pytest.raises(ValueError, match="fewest is 0"):
        fit_calibration(logits, targets, fewest=0)
    with pytest.raises(ValueError, match=r"shape \(2, 2\); expected \[scale, shift\] for each of 3 labels"):
        apply_calibration(logits, [[1, 0], [1, 0]])


def test_reliability_by_hand() -> None:
    cells, probability, positives = reliability([[0.1, 0.3, 0.9], [0.2, 0.9, 1.0]], [[0, 1, 1], [-1, 0, 1]], bins=4)
    assert cells.tolist() == [1, 1, 0, 3]
    np.testing.assert_allclose(probability, [0.1, 0.3, np.nan, (0.9 + 0.9 + 1) / 3])
    np.testing.assert_allclose(positives, [0, 1, np.nan, 2 / 3])
