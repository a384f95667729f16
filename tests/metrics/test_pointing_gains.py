"""The interval of a gain in hits: what it is made of, and that it is the plain loop's."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.pointing import Looked
from benchmarks.pointing_gains import counts, share_gain, table
from mlic_hf.metrics.bootstrap import resampled_images, resampled_pairs


def looked(seed: int, chance: float, images: int = 40) -> Looked:
    draws = np.random.default_rng(seed)
    targets = (np.random.default_rng(9).random((images, 3)) < 0.5).astype(float)
    targets[0] = 1.0
    cases = {
        kind: [(i, j, bool(draws.random() < chance)) for i in range(images) for j in range(3) if targets[i, j]]
        for kind in ("key_points", "boxes", "centre")
    }
    return Looked(draws.random((images, 3)), targets, cases)


def test_the_interval_of_a_gain_is_that_of_a_plain_loop() -> None:
    own, without = (
        [counts(looked(seed, chance), "boxes") for seed in seeds] for chance, seeds in ((0.6, (1, 2)), (0.3, (3, 4)))
    )
    value, low, high = share_gain(own, without, resamples=50)
    shares = [sum(c[:, 0]) / sum(c[:, 1]) for c in (*own, *without)]
    assert value == pytest.approx((shares[0] + shares[1] - shares[2] - shares[3]) / 2)
    samples = []
    for resample in range(50):
        rows = resampled_images(40, 0, resample)
        gains = [
            a[rows, 0].sum() / a[rows, 1].sum() - b[rows, 0].sum() / b[rows, 1].sum() for a, b in zip(own, without)
        ]
        samples.append(np.mean([gains[pair] for pair in resampled_pairs(2, 50, 0)[resample]]))
    assert (low, high) == pytest.approx(np.percentile(samples, [2.5, 97.5]))
    assert low < value < high
    assert share_gain(own, own, resamples=20) == (0.0, 0.0, 0.0)


def test_the_table_has_a_row_a_measure() -> None:
    lines = table([looked(1, 0.6), looked(2, 0.6)], [looked(3, 0.3), looked(4, 0.3)], 20).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| mAP",
        "| key points",
        "| boxes, IoU 0.5",
        "| key points, the image's centre",
    ]
    assert lines[3].split(" | ")[3].startswith("+")
