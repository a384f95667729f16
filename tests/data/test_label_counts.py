from __future__ import annotations

import json
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic_hf.data import class_weights, co_occurrence_counts, stratified_split
from tests.golden.cases import GOLDEN
from tests.realdata import REALDATA, needs_realdata

LISTS = st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=30)


def multi_hot(lists: list[list[int]], num_labels: int = 6) -> np.ndarray:
    matrix = np.zeros((len(lists), num_labels), int)
    for row, labels in zip(matrix, lists):
        row[labels] = 1
    return matrix


@given(LISTS)
def test_counts_are_the_matrix_product(lists: list[list[int]]) -> None:
    matrix = multi_hot(lists)
    expected = matrix.T @ matrix
    for labels in (lists, matrix, torch.from_numpy(matrix).float()):
        together, n = co_occurrence_counts(labels, 6)
        assert np.array_equal(n, np.diag(expected))
        assert np.array_equal(together, expected - np.diag(np.diag(expected)))
        assert together.dtype == n.dtype == np.int64


def test_ignored_cells_do_not_count() -> None:
    together, n = co_occurrence_counts(torch.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, 0.0]]), 3)
    assert n.tolist() == [2, 1, 1]
    assert together.tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0]]


def test_bad_labels() -> None:
    with pytest.raises(ValueError, match=r"Image 1 has the label id 3, but ids must lie in 0\.\.2"):
        co_occurrence_counts([[0], [2, 3]], 3)
    with pytest.raises(ValueError, match=r"shape \(2, 4\), but \(images, 3\) was expected"):
        co_occurrence_counts(np.zeros((2, 4)), 3)


def test_as_many_images_as_coco_in_well_under_a_second() -> None:
    generator = np.random.default_rng(0)
    lists = [generator.choice(80, size, replace=False).tolist() for size in generator.integers(1, 6, 2000)] * 41
    start = time.process_time()
    _, n = co_occurrence_counts(lists, 80)
    assert time.process_time() - start < 1.0
    assert n.sum() == sum(map(len, lists))


@needs_realdata
@pytest.mark.skipif(not (GOLDEN / "partition_coco2014_train.npz").is_file(), reason="no golden numbers")
def test_counts_of_coco2014_train() -> None:
    rows = json.loads((REALDATA / "lists/coco_mlgcn/train_anno.json").read_text())
    together, n = co_occurrence_counts([row["labels"] for row in rows], 80)
    golden = np.load(GOLDEN / "partition_coco2014_train.npz")
    assert np.array_equal(together, golden["cooccurrence"])
    assert np.array_equal(n, golden["counts"])
    assert n.max() == 45174


def test_class_weights() -> None:
    counts = np.array([1, 4, 0])
    assert class_weights(counts, 9).tolist() == [8, 1.25, 9]
    inverse = class_weights(counts, 9, "inverse_frequency")
    assert inverse.tolist() == pytest.approx([1 / 0.75, 0.25 / 0.75, 1 / 0.75])
    effective = class_weights(counts, 9, "effective_number", beta=0.5)
    raw = np.array([1, 0.5 / (1 - 0.5**4), 1])
    assert effective.tolist() == pytest.approx((raw / raw.mean()).tolist())
    with pytest.raises(ValueError, match="rule is 'none'"):
        class_weights(counts, 9, "none")
    with pytest.raises(ValueError, match="there are 3 images"):
        class_weights(counts, 3)
    with pytest.raises(ValueError, match="beta is 1"):
        class_weights(counts, 9, beta=1)


@settings(max_examples=40, deadline=None)
@given(LISTS, st.integers(0, 3))
def test_split_holds_every_image_once(lists: list[list[int]], seed: int) -> None:
    parts = stratified_split(lists, 6, (0.6, 0.4), seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(lists)))
    again = stratified_split(multi_hot(lists), 6, (0.6, 0.4), seed)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again))


def test_split_gives_every_label_its_share() -> None:
    generator = np.random.default_rng(1)
    matrix = (generator.random((1000, 12)) < np.geomspace(0.5, 0.008, 12)).astype(int)
    fractions = (0.7, 0.2, 0.1)
    parts = stratified_split(matrix, 12, fractions)
    for part, fraction in zip(parts, fractions):
        assert abs(len(part) - 1000 * fraction) <= 3
        assert np.abs(matrix[part].sum(0) - fraction * matrix.sum(0)).max() <= 3
    assert not np.array_equal(parts[0], stratified_split(matrix, 12, fractions, seed=1)[0])


def test_bad_fractions() -> None:
    for fractions in ((0.5, 0.4), (1.5, -0.5), ()):
        with pytest.raises(ValueError, match="must be positive and sum to 1"):
            stratified_split([[0]], 1, fractions)
