from __future__ import annotations

import numpy as np
import pytest

from mlic_hf.metrics import bootstrap_map, mean_average_precision, paired_bootstrap_map, resampled_images
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
