"""The published PSD partitions of COCO 2014 and NUS-WIDE, from their real label counts."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from mlic_hf.methods.psd.graph import affinity, normalized_cut
from mlic_hf.methods.psd.partition import Partition
from mlic_hf.methods.psd.partition_labels import partition_labels
from mlic_hf.methods.psd.spectral import order_parts
from tests.golden.cases import GOLDEN

pytest.importorskip("sklearn")

DATA_SETS = ("coco2014", "nuswide")
pytestmark = [
    pytest.mark.skipif(
        not (GOLDEN / f"partition_{name}_train.npz").is_file(),
        reason=f"no partition_{name}_train.npz in {GOLDEN} (set MLIC_GOLDEN_DIR)",
    )
    for name in DATA_SETS
]
SAME_PARTS = [("coco2014", k) for k in (2, 3, 5, 8)] + [("nuswide", k) for k in (5, 8)]


@functools.cache
def golden(data_set: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"partition_{data_set}_train.npz") as arrays:
        return dict(arrays)


def published_cut(data_set: str, kind: str, num_parts: int) -> float:
    data = golden(data_set)
    return normalized_cut(affinity(data["cooccurrence"], data["counts"], kind), data[f"published_{kind}_{num_parts}"])


def our_partition(data_set: str, kind: str, num_parts: int, method: str | None = None) -> Partition:
    data = golden(data_set)
    return partition_labels(data["cooccurrence"], data["counts"], data["names"], kind, num_parts, method)


@pytest.mark.parametrize("data_set, num_parts", SAME_PARTS)
def test_the_published_rule_gives_exactly_the_published_joint_pattern_parts(data_set: str, num_parts: int) -> None:
    data = golden(data_set)
    published = order_parts(data[f"published_cgp_{num_parts}"])
    expected = tuple(tuple(data["names"][published == part].tolist()) for part in range(num_parts))
    partition = our_partition(data_set, "cgp", num_parts)
    assert partition.method == "spectral"
    assert partition.parts == expected  # stronger than an adjusted Rand index of 1: the very sets, by name


@pytest.mark.parametrize("num_parts", [2, 3])
@pytest.mark.parametrize("method", ["spectral", "refine"])
def test_joint_pattern_cut_of_nuswide_is_no_worse_than_published(method: str, num_parts: int) -> None:
    partition = our_partition("nuswide", "cgp", num_parts, method)
    assert partition.normalized_cut <= published_cut("nuswide", "cgp", num_parts)


# the larger numbers of parts are in the slow test below
@pytest.mark.parametrize("num_parts", [2, 5])
@pytest.mark.parametrize("data_set", DATA_SETS)
def test_category_specific_cut_is_no_worse_than_published(data_set: str, num_parts: int) -> None:
    partition = our_partition(data_set, "dgp", num_parts)
    assert partition.method == "refine"
    assert partition.normalized_cut <= published_cut(data_set, "dgp", num_parts)


@pytest.mark.slow
@pytest.mark.parametrize("num_parts", [2, 3, 5, 8, 13])
@pytest.mark.parametrize("kind", ["cgp", "dgp"])
@pytest.mark.parametrize("data_set", DATA_SETS)
def test_refined_cut_is_no_worse_than_published_or_spectral(data_set: str, kind: str, num_parts: int) -> None:
    refined = our_partition(data_set, kind, num_parts, "refine").normalized_cut
    spectral = our_partition(data_set, kind, num_parts, "spectral").normalized_cut
    assert refined <= min(published_cut(data_set, kind, num_parts), spectral) + 1e-9


def test_the_published_cut_has_the_value_of_its_definition() -> None:
    assert published_cut("coco2014", "cgp", 5) == pytest.approx(3.0295589, abs=1e-6)
    assert published_cut("nuswide", "dgp", 5) == pytest.approx(4.0351552, abs=1e-6)
