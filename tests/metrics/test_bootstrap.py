from __future__ import annotations

import numpy as np
import pytest

from mlic_hf.metrics import (
    bootstrap_map,
    mean_average_precision,
    paired_bootstrap_gain,
    paired_bootstrap_map,
    resampled_images,
    resampled_pairs,
)
from tests.metrics import inputs


@pytest.mark.parametrize("name", ["plain", "tied_left_out", "saturated", "dense"])
def test_equals_computing_every_resample_anew(name: str) -> None:
    scores, targets = inputs.make(name, images=60, labels=20)
    result = bootstrap_map(scores, targets, resamples=140, seed=4)
    drawn = [resampled_images(60, 4, resample) for resample in range(140)]
    naive = [mean_average_precision(scores[rows], targets[rows])[0] for rows in drawn]
    np.testing.assert_allclose(result.samples, naive, rtol=1e-13)
    assert result.value == mean_average_precision(scores, targets)[0]
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(naive, [0.025, 0.975])))
    assert result.standard_error == pytest.approx(np.std(naive, ddof=1))
    assert str(result) == f"{result.value:.4f} (95 % from {result.low:.4f} to {result.high:.4f})"


def test_resamples_differ_in_their_labels_without_positives() -> None:
    scores, targets = inputs.make("plain", images=30, labels=6)
    targets[2:, 0] = 0  # one positive image: absent from about a third of the resamples
    result = bootstrap_map(scores, targets, resamples=40)
    absent = [
        mean_average_precision(scores[rows], targets[rows]) for rows in (resampled_images(30, 0, r) for r in range(40))
    ]
    assert any(count for _, count in absent)
    np.testing.assert_allclose(result.samples, [value for value, _ in absent], rtol=1e-13)


def test_paired_difference_uses_the_same_images() -> None:
    scores, targets = inputs.make("left_out", images=80)
    worse = inputs.make("plain", images=80)[0]
    paired = paired_bootstrap_map(scores, worse, targets, resamples=50, seed=2)
    one, other = (bootstrap_map(given, targets, resamples=50, seed=2) for given in (scores, worse))
    np.testing.assert_allclose(paired.samples, one.samples - other.samples, atol=1e-15)
    assert paired.value == pytest.approx(one.value - other.value)
    same = paired_bootstrap_map(scores, scores, targets, resamples=10)
    assert (same.low, same.high) == (0.0, 0.0)
    assert paired.low > 0  # the scores of this fixture are better than those drawn for other targets


def test_a_gain_over_seeds_equals_drawing_images_and_pairs_anew() -> None:
    scores, targets = inputs.make("left_out", images=60)
    noise = np.random.default_rng(0)
    runs = [scores + noise.normal(size=scores.shape) for _ in range(3)]
    others = [scores + 2 * noise.normal(size=scores.shape) for _ in range(3)]
    gain = paired_bootstrap_gain(runs, others, targets, resamples=40, seed=5)

    def naive(rows: np.ndarray, pairs: np.ndarray) -> float:
        def score(run: np.ndarray) -> float:
            return mean_average_precision(run[rows], targets[rows])[0]

        return float(np.mean([score(runs[pair]) - score(others[pair]) for pair in pairs]))

    drawn = [naive(resampled_images(60, 5, r), pairs) for r, pairs in enumerate(resampled_pairs(3, 40, 5))]
    np.testing.assert_allclose(gain.samples, drawn, rtol=1e-12)
    assert gain.value == pytest.approx(naive(np.arange(60), np.arange(3)))


def test_seeds_that_disagree_widen_the_interval() -> None:
    scores, targets = inputs.make("left_out", images=400)
    noise = np.random.default_rng(1).normal(size=scores.shape)
    spread = [scores + factor * noise for factor in (0.0, 1.0, 2.0)]
    equal = [spread[1]] * 3

    def width(runs: list[np.ndarray]) -> float:
        gain = paired_bootstrap_gain(runs, [scores] * 3, targets, resamples=200)
        return gain.high - gain.low

    one = paired_bootstrap_map(spread[1], scores, targets, resamples=200)
    assert width(equal) == pytest.approx(one.high - one.low)  # runs that agree add nothing to the images' share
    assert width(spread) > 1.5 * width(equal)


def test_a_gain_wants_a_baseline_for_every_run() -> None:
    scores, targets = inputs.make("plain")
    with pytest.raises(ValueError, match="found 2 runs and 1 baselines"):
        paired_bootstrap_gain([scores, scores], [scores], targets)
    with pytest.raises(ValueError, match="found 0 runs"):
        paired_bootstrap_gain([], [], targets)


def test_the_interval_covers_what_it_says() -> None:
    hits = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        targets = (rng.random((150, 1)) < 0.4).astype(int)
        scores = rng.normal(size=(150, 1)) + targets
        result = bootstrap_map(scores, targets, resamples=100, confidence=0.9, seed=seed)
        hits += result.low <= 0.6774 <= result.high  # the same draw with 4 million images
    assert 63 <= hits <= 79


def test_bad_input_is_named() -> None:
    scores, targets = inputs.make("plain")
    with pytest.raises(ValueError, match="resamples is 1"):
        bootstrap_map(scores, targets, resamples=1)
    with pytest.raises(ValueError, match=r"confidence is 95; expected"):
        bootstrap_map(scores, targets, confidence=95)
    with pytest.raises(ValueError, match="too few of them"):
        bootstrap_map(scores[:, :1], np.eye(1, len(scores)).T, resamples=50)
    with pytest.raises(ValueError, match="must be"):
        paired_bootstrap_map(scores, scores[:, :2], targets)
