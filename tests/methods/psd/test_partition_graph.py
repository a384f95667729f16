"""The two label graphs and the normalised cut, against loops and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mlic_hf.methods.psd.graph import affinity, conditional_probability, normalized_cut

COOCCURRENCE = np.array([[0, 4, 1], [4, 0, 0], [1, 0, 0]])
COUNTS = np.array([16, 4, 1])


def random_graph(num_labels: int, seed: int = 0) -> np.ndarray:
    half = np.triu(np.random.default_rng(seed).random((num_labels, num_labels)), 1)
    return half + half.T


def cut_by_definition(weights: np.ndarray, assignment: np.ndarray) -> float:
    total = 0.0
    for part in set(assignment.tolist()):
        inside, outside = assignment == part, assignment != part
        total += weights[np.ix_(inside, outside)].sum() / weights[inside].sum()
    return total


def test_probability_divides_columns() -> None:
    expected = [[0, 1, 1], [0.25, 0, 0], [0.0625, 0, 0]]
    np.testing.assert_array_equal(conditional_probability(COOCCURRENCE, COUNTS), expected)


def test_affinities_by_hand() -> None:
    np.testing.assert_allclose(affinity(COOCCURRENCE, COUNTS, "cgp"), [[0, 0.75, 0.625], [0.75, 0, 0], [0.625, 0, 0]])
    np.testing.assert_allclose(affinity(COOCCURRENCE, COUNTS, "dgp"), [[0, 0.25, 0.375], [0.25, 0, 1], [0.375, 1, 0]])


def test_neither_graph_has_an_edge_from_a_label_to_itself() -> None:
    counted_with_itself = COOCCURRENCE + np.diag(COUNTS)
    for kind in ("cgp", "dgp"):
        weights = affinity(counted_with_itself, COUNTS, kind)
        np.testing.assert_array_equal(weights, affinity(COOCCURRENCE, COUNTS, kind))
        assert not weights.diagonal().any()


def test_a_label_that_never_occurs_is_no_division_by_zero() -> None:
    pairs, counts = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]]), np.array([1, 1, 0])
    np.testing.assert_array_equal(affinity(pairs, counts, "cgp")[2], [0, 0, 0])
    np.testing.assert_array_equal(affinity(pairs, counts, "dgp")[2], [1, 1, 0])


@pytest.mark.parametrize("num_parts", [1, 2, 3, 7])
def test_cut_equals_its_definition(num_parts: int) -> None:
    weights, assignment = random_graph(7), np.arange(7) % num_parts
    assert normalized_cut(weights, assignment) == pytest.approx(cut_by_definition(weights, assignment))


def test_cut_ignores_the_numbers_of_the_parts() -> None:
    weights = random_graph(6)
    assert normalized_cut(weights, [0, 0, 1, 1, 2, 2]) == pytest.approx(normalized_cut(weights, [9, 9, 2, 2, 5, 5]))


def test_cut_of_separate_components_is_zero_and_a_part_without_edges_counts_one() -> None:
    weights = np.kron(np.eye(2), 1 - np.eye(2))
    assert normalized_cut(weights, [0, 0, 1, 1]) == 0.0
    lonely = np.pad(weights, (0, 1))
    assert normalized_cut(lonely, [0, 0, 1, 1, 2]) == 1.0


def test_bad_inputs_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        affinity(np.zeros((2, 3)), np.ones(2), "cgp")
    with pytest.raises(ValueError, match="kind 'ccp'"):
        affinity(COOCCURRENCE, COUNTS, "ccp")
    with pytest.raises(ValueError, match="negative"):
        affinity(-COOCCURRENCE, COUNTS, "cgp")
    with pytest.raises(ValueError, match="not finite"):
        affinity(COOCCURRENCE, np.array([1.0, np.nan, 1.0]), "cgp")
    with pytest.raises(ValueError, match=r"not symmetric: \[0, 1\] is 1 and \[1, 0\] is 0"):
        affinity(np.array([[0, 1], [0, 0]]), np.ones(2), "cgp")
    with pytest.raises(ValueError, match="together in 4 images"):
        affinity(COOCCURRENCE, np.array([16, 3, 1]), "cgp")
    with pytest.raises(ValueError, match="assignment of 3 labels"):
        normalized_cut(np.zeros((3, 3)), [0, 1])
