"""Spectral clustering by the published rule, local moves, and what both owe on small graphs."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest

from mlic_hf.methods.psd.graph import normalized_cut
from mlic_hf.methods.psd.refine import random_partition, refine, refined_partition
from mlic_hf.methods.psd.spectral import fill_empty_parts, order_parts, spectral_partition
from tests.methods.psd.test_partition_graph import random_graph

pytest.importorskip("sklearn")

# few seeds and starts: what is tested holds for any number of them
CLUSTERS = [
    pytest.param(functools.partial(spectral_partition, num_seeds=2), id="spectral"),
    pytest.param(functools.partial(refined_partition, spectral_starts=1, random_starts=4), id="refine"),
]


def planted(num_blocks: int = 3, size: int = 5) -> np.ndarray:
    """Strong ties within blocks, weak ones between."""
    inside = np.kron(np.eye(num_blocks), np.ones((size, size)))
    weights = 0.05 * random_graph(num_blocks * size) + inside
    np.fill_diagonal(weights, 0.0)
    return weights


def lowest_cut(weights: np.ndarray, num_parts: int) -> float:
    partitions = itertools.product(range(num_parts), repeat=len(weights))
    return min(normalized_cut(weights, p) for p in partitions if len(set(p)) == num_parts)


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_planted_blocks_are_found_in_label_order(cluster) -> None:
    np.testing.assert_array_equal(cluster(planted(), 3), np.repeat([0, 1, 2], 5))


@pytest.mark.parametrize("num_parts", [2, 3, 4])
def test_refined_cut_is_the_lowest_of_all_partitions_of_a_small_graph(num_parts: int) -> None:
    weights = random_graph(7, seed=num_parts)
    ours = normalized_cut(weights, refined_partition(weights, num_parts))
    assert ours == pytest.approx(lowest_cut(weights, num_parts), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_refine_never_raises_the_cut_and_stops_where_no_move_or_swap_helps(seed: int) -> None:
    weights = random_graph(12, seed)
    start = random_partition(12, 3, np.random.default_rng(seed))
    ours = refine(weights, start)
    cut = normalized_cut(weights, ours)
    assert cut <= normalized_cut(weights, start)
    assert set(ours.tolist()) == {0, 1, 2}
    for label, part in itertools.product(range(12), range(3)):
        moved = ours.copy()
        moved[label] = part
        if len(set(moved.tolist())) == 3:
            assert normalized_cut(weights, moved) >= cut - 1e-9
    for one, other in itertools.combinations(range(12), 2):
        swapped = ours.copy()
        swapped[[one, other]] = swapped[[other, one]]
        assert normalized_cut(weights, swapped) >= cut - 1e-9


def test_refine_swaps_where_no_single_move_helps() -> None:
    # two pairs torn apart: moving one label leaves a part of one, exchanging two mends both
    weights = np.array([[0, 9, 0, 1], [9, 0, 1, 0], [0, 1, 0, 9], [1, 0, 9, 0]], dtype=float)
    assert order_parts(refine(weights, np.array([0, 1, 0, 1]))).tolist() == [0, 0, 1, 1]


def test_refine_leaves_its_input_alone() -> None:
    start = random_partition(10, 2, np.random.default_rng(0))
    kept = start.copy()
    refine(random_graph(10), start)
    np.testing.assert_array_equal(start, kept)


@pytest.mark.parametrize("cluster", CLUSTERS)
@pytest.mark.parametrize("num_parts", range(1, 10))
def test_every_number_of_parts_gives_that_many_and_repeats_itself(cluster, num_parts: int) -> None:
    weights = random_graph(9)
    first, again = cluster(weights, num_parts), cluster(weights, num_parts)
    assert sorted(set(first.tolist())) == list(range(num_parts))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, order_parts(first))


@pytest.mark.parametrize("cluster", CLUSTERS)
@pytest.mark.parametrize("weights", [np.ones((6, 6)) - np.eye(6), np.kron(np.eye(3), 1 - np.eye(2))])
@pytest.mark.parametrize("num_parts", [2, 4, 5])
def test_twin_labels_and_separate_components_leave_no_part_empty(cluster, weights, num_parts: int) -> None:
    assert set(cluster(weights, num_parts).tolist()) == set(range(num_parts))


@pytest.mark.parametrize("num_parts", [0, 6])
def test_an_impossible_number_of_parts_is_refused(num_parts: int) -> None:
    for cluster in (spectral_partition, refined_partition):
        with pytest.raises(ValueError, match="expected 1 to 5"):
            cluster(random_graph(5), num_parts)
    with pytest.raises(ValueError, match="expected 1 to 5"):
        random_partition(5, num_parts, np.random.default_rng(0))


def test_an_empty_part_gets_the_least_tied_label_of_a_shared_part() -> None:
    weights = np.array([[0, 3, 1, 0], [3, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=float)
    assert fill_empty_parts(weights, np.array([0, 0, 0, 1]), 3).tolist() == [0, 0, 2, 1]


def test_parts_are_numbered_by_their_first_label() -> None:
    assert order_parts(np.array([4, 2, 4, 7, 2])).tolist() == [0, 1, 0, 2, 1]


def test_random_parts_are_balanced_and_seeded() -> None:
    drawn = [random_partition(11, 3, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert sorted(np.bincount(drawn[0])) == [3, 4, 4]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert drawn[0].tolist() != drawn[2].tolist()
