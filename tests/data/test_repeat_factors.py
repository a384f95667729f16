"""Repeat factors by hand, and an order that keeps them on average and exactly in length."""

from __future__ import annotations

import numpy as np
import pytest

from mlic_hf.data import repeat_factors, repeated_order


def test_factors_by_hand() -> None:
    labels = [[0], [0, 1], [0], [], [0], [2, 0], [0], [0], [0], [2]]  # frequencies 0.8, 0.1 and 0.2
    factors = repeat_factors(labels, 4, threshold=0.4)
    expected = [1, 2, 1, 1, 1, np.sqrt(2), 1, 1, 1, np.sqrt(2)]
    np.testing.assert_allclose(factors, expected)
    multi_hot = np.array([[int(label in row) for label in range(4)] for row in labels])
    np.testing.assert_array_equal(repeat_factors(multi_hot, 4, threshold=0.4), factors)
    assert (repeat_factors(labels, 4, threshold=0.01) == 1).all()
    with pytest.raises(ValueError, match="threshold is 0"):
        repeat_factors(labels, 4, threshold=0)


def test_an_order_repeats_each_image_by_its_factor() -> None:
    factors = np.array([1.0, 2.5, 1.25, 3.0, 1.0, 1.25])
    orders = [repeated_order(factors, seed=3, epoch=epoch) for epoch in range(400)]
    assert {len(order) for order in orders} == {10}
    counts = np.array([np.bincount(order, minlength=6) for order in orders])
    assert (counts >= np.floor(factors)).all()
    assert (counts <= np.ceil(factors)).all()
    np.testing.assert_allclose(counts.mean(axis=0), factors, atol=0.07)
    np.testing.assert_array_equal(orders[5], repeated_order(factors, seed=3, epoch=5))
    assert not np.array_equal(orders[5], orders[6])


def test_equal_factors_are_a_plain_permutation() -> None:
    order = repeated_order(np.ones(50), seed=0, epoch=0)
    assert sorted(order) == list(range(50))
    with pytest.raises(ValueError, match="above 0"):
        repeated_order(np.array([1.0, 0.0]), 0, 0)
