"""Confident counts by a plain loop over the paper's equations, and how unlikely each label is."""

from __future__ import annotations

import numpy as np
import pytest

from mlic_hf.metrics import confident_counts, suspicion


def by_loop(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """C[given, likely] of each label: listed likely, listed unlikely, unlisted likely, unlisted unlikely."""
    found = np.zeros((4, scores.shape[1]), int)
    for label in range(scores.shape[1]):
        cells = [(float(p), int(y)) for p, y in zip(scores[:, label], targets[:, label]) if y >= 0]
        of_class = {c: [p if c else 1 - p for p, y in cells if y == c] for c in (0, 1)}
        thresholds = {c: sum(own) / len(own) for c, own in of_class.items() if own}
        for p, y in cells:
            possible = {c: (p if c else 1 - p) for c in thresholds if (p if c else 1 - p) >= thresholds[c] - 1e-12}
            if possible:
                likely = max(possible, key=lambda c: possible[c])
                found[{(1, 1): 0, (1, 0): 1, (0, 1): 2, (0, 0): 3}[y, likely], label] += 1
    return found


@pytest.mark.parametrize("seed", range(5))
def test_counts_are_those_of_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random((60, 7)) ** rng.uniform(0.5, 3, 7)
    targets = (rng.random((60, 7)) < scores).astype(int)
    targets[rng.random((60, 7)) < 0.2] = -1
    targets[:, 5] = 0  # never listed
    targets[:, 6] = -1  # never known
    np.testing.assert_array_equal(np.array(confident_counts(scores, targets)), by_loop(scores, targets))


def test_a_wrong_cell_is_counted_and_comes_first() -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.05, 0.1], [0.1, 0.95], [0.2, 0.9]])
    targets = np.array([[1, 0], [1, 0], [1, 0], [0, 0], [0, 1]])
    counts = confident_counts(scores, targets)
    assert counts.listed_unlikely.tolist() == [1, 0]
    assert counts.unlisted_likely.tolist() == [0, 1]
    doubt = suspicion(scores, targets)
    assert np.argsort(-doubt, axis=None)[:2].tolist() == [7, 4]
    np.testing.assert_allclose(doubt[2:4], [[0.95, 0.1], [0.1, 0.95]])


def test_what_is_unknown_is_not_suspicious() -> None:
    assert suspicion([[0.9, 0.2]], [[-1, 1]]).tolist() == [[-1.0, 0.8]]


@pytest.mark.parametrize("scores, targets", [([[2.0]], [[1]]), ([[float("nan")]], [[1]]), ([[0.5]], [[2]])])
def test_bad_inputs(scores: list, targets: list) -> None:
    for function in (confident_counts, suspicion):
        with pytest.raises(ValueError, match=r"must be probabilities|something else than 1"):
            function(scores, targets)
