"""Partition: made from counts, kept in JSON, refused when it is not whole, looked up by name."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlic_hf.data import LabelSpace
from mlic_hf.methods.psd.partition import Partition
from mlic_hf.methods.psd.partition_labels import partition_labels

pytest.importorskip("sklearn")

NAMES = ("cat", "dog", "fork", "knife", "yeti", "unicorn")
# cat meets dog, fork meets knife; nobody ever saw a yeti or a unicorn
COUNTS = np.array([10, 10, 8, 8, 0, 0])
COOCCURRENCE = np.zeros((6, 6), dtype=int)
COOCCURRENCE[0, 1] = COOCCURRENCE[1, 0] = 9
COOCCURRENCE[2, 3] = COOCCURRENCE[3, 2] = 7
COOCCURRENCE[0, 2] = COOCCURRENCE[2, 0] = 1


@functools.cache
def made(kind: str = "cgp", num_parts: int = 2, **options) -> Partition:
    return partition_labels(COOCCURRENCE, COUNTS, NAMES, kind, num_parts, source="by hand", **options)


def test_cgp_joins_labels_that_meet_and_dgp_parts_them() -> None:
    assert made("cgp").parts == (("cat", "dog", "yeti"), ("fork", "knife", "unicorn"))
    together = next(part for part in made("dgp").parts if "cat" in part)
    assert "dog" not in together


def test_labels_that_never_occur_go_to_the_smallest_part_and_leave_the_cut_alone() -> None:
    seen = partition_labels(COOCCURRENCE[:4, :4], COUNTS[:4], NAMES[:4], "cgp", 2)
    assert seen.parts == (("cat", "dog"), ("fork", "knife"))
    assert made("cgp").normalized_cut == seen.normalized_cut


def test_they_fill_the_parts_that_would_stay_empty() -> None:
    assert made("dgp", 5).parts == (("cat", "unicorn"), ("dog",), ("fork",), ("knife",), ("yeti",))
    assert made("cgp", 6).parts == tuple((name,) for name in NAMES)
    nothing_counted = partition_labels(np.zeros((3, 3)), np.zeros(3), NAMES[:3], "cgp", 2)
    assert nothing_counted.parts == (("cat", "fork"), ("dog",))


@pytest.mark.parametrize("kind", ["cgp", "dgp", "random"])
@pytest.mark.parametrize("num_parts", range(1, 7))
def test_any_number_of_parts_covers_every_label_once(kind: str, num_parts: int) -> None:
    partition = made(kind, num_parts)
    assert partition.num_parts == num_parts
    assert sorted(name for part in partition.parts for name in part) == sorted(NAMES)


def test_default_methods_and_the_random_control() -> None:
    assert (made("cgp").method, made("dgp").method, made("random").method) == ("spectral", "refine", "random")
    assert made("random").normalized_cut is None
    assert made("random", seed=1) != made("random", seed=2)
    with pytest.raises(ValueError, match="cuts no graph"):
        made("random", method="refine")


def test_unknown_kind_and_method_and_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="kind 'best'"):
        made("best")
    with pytest.raises(ValueError, match="method 'magic'"):
        made("cgp", method="magic")
    with pytest.raises(ValueError, match="expected 1 to 6"):
        made("cgp", 7)
    with pytest.raises(ValueError, match="counts for 6 labels, but 5"):
        partition_labels(COOCCURRENCE, COUNTS, NAMES[:5], "cgp", 2)


def test_positions_follow_names_in_any_order() -> None:
    partition = made("cgp")
    assert partition.positions(NAMES) == [[0, 1, 4], [2, 3, 5]]
    assert partition.positions(NAMES[::-1]) == [[5, 4, 1], [3, 2, 0]]


@pytest.mark.parametrize(
    "names, message",
    [
        (NAMES[1:], "missing 'cat'"),
        ((*NAMES, "fish"), "not in the partition 'fish'"),
        ((*NAMES, "cat"), "expected once"),
    ],
)
def test_positions_refuse_other_labels(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made("cgp").positions(names)


def test_saved_partition_loads_equal_from_file_and_folder(tmp_path: Path) -> None:
    partition = made("dgp", 3, seed=4)
    partition.save(tmp_path / "new" / "partition.json")
    assert Partition.load(tmp_path / "new" / "partition.json") == partition
    assert Partition.load(tmp_path / "new") == partition
    content = json.loads((tmp_path / "new" / "partition.json").read_text(encoding="utf-8"))
    assert list(content) == [
        *("format_version", "kind", "num_parts", "labels", "labels_hash"),
        *("parts", "normalized_cut", "seed", "method", "source"),
    ]
    assert content["labels_hash"] == partition.labels_hash == LabelSpace(NAMES).hash


BROKEN = [
    (lambda c: c.update(format_version=2), "format_version is 2"),
    (lambda c: c.pop("parts"), "keys parts are missing"),
    (lambda c: c["labels"].reverse(), "labels_hash"),
    (lambda c: c.update(num_parts=3), "num_parts is 3, but 2"),
    (lambda c: c["parts"][0].append("fork"), "more than once 'fork'"),
    (lambda c: c["parts"][0].remove("cat"), "missing 'cat'"),
    (lambda c: c["parts"][0].append("fish"), "not a label 'fish'"),
    (lambda c: (c["parts"].append([]), c.update(num_parts=3)), "Part 2 has no label"),
    (lambda c: c.update(kind="best"), "kind 'best'"),
    (lambda c: c.update(parts=5), "int"),
]


@pytest.mark.parametrize("damage, message", BROKEN)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, damage, message: str) -> None:
    file = tmp_path / "partition.json"
    made("cgp").save(file)
    content = json.loads(file.read_text(encoding="utf-8"))
    damage(content)
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        Partition.load(file)
    assert str(file) in str(caught.value)


def test_no_file_and_no_json_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no partition file"):
        Partition.load(tmp_path)
    (tmp_path / "partition.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="not a valid partition file"):
        Partition.load(tmp_path)


def test_a_partition_cannot_be_built_unwhole() -> None:
    with pytest.raises(ValueError, match="missing 'unicorn'"):
        replace(made("cgp"), parts=(NAMES[:3], NAMES[3:5]))
    with pytest.raises(ValueError, match="repeats 'cat'"):
        Partition("random", ("cat", "cat"), (("cat",), ("cat",)), None, 0, "random", "")
