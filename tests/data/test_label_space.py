from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlic_hf.data import LabelSpace

NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=12, unique=True)


def test_multi_hot_is_exact() -> None:
    row = LabelSpace(["cat", "dog", "sky", "sea"]).multi_hot([2, 0], ignored=[3])
    assert row.dtype == torch.float32
    assert row.tolist() == [1.0, 0.0, 1.0, -1.0]


@given(NAMES)
def test_ids_and_names_are_inverse(names: list[str]) -> None:
    space = LabelSpace(names)
    assert [space.id2label[space.index(name)] for name in names] == names
    assert space.positions(names) == list(range(len(names)))
    assert LabelSpace(list(space)) == space


@given(NAMES, st.data())
def test_multi_hot_recovers_its_ids(names: list[str], data: st.DataObject) -> None:
    space = LabelSpace(names)
    values = data.draw(st.lists(st.sampled_from([1, 0, -1]), min_size=len(names), max_size=len(names)))
    labels = [i for i, value in enumerate(values) if value == 1]
    ignored = [i for i, value in enumerate(values) if value == -1]
    assert space.multi_hot(labels, ignored).tolist() == values


def test_hash_depends_on_names_and_order() -> None:
    assert LabelSpace(["a", "b"]).hash == LabelSpace(("a", "b")).hash == "3554d2b8a1e34099"
    hashes = {LabelSpace(names).hash for names in (["a", "b"], ["b", "a"], ["a,b"], ["a", "b", "c"])}
    assert len(hashes) == 4
    assert all(len(value) == 16 for value in hashes)


def test_a_subset_keeps_the_given_order() -> None:
    space = LabelSpace(["a", "b", "c"])
    assert space.subset(["c", "a"]).names == ("c", "a")


def test_config_order_is_that_of_the_ids() -> None:
    config = SimpleNamespace(id2label={"1": "dog", "0": "cat"})
    assert LabelSpace.from_config(config).names == ("cat", "dog")
    with pytest.raises(ValueError, match=r"keys of id2label must be 0\.\.1"):
        LabelSpace.from_config(SimpleNamespace(id2label={0: "cat", 2: "dog"}))


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], "at least one label name"),
        (["a", "b", "a"], r"'a' occurs twice \(positions 0 and 2\)"),
        (["a", ""], "Label 1 is ''"),
        (["a", 3], "Label 1 is 3"),
    ],
)
def test_bad_names(names: list, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        LabelSpace(names)


def test_bad_ids_and_names_are_named() -> None:
    space = LabelSpace(["cat", "dog"])
    with pytest.raises(ValueError, match=r"label id 2 lies outside 0\.\.1"):
        space.multi_hot([2])
    with pytest.raises(ValueError, match="both present and ignored: dog"):
        space.multi_hot([1], ignored=[1])
    with pytest.raises(ValueError, match=r"'cow' is not among the 2 labels"):
        space.subset(["cow"])


def test_from_dataset() -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"labels": datasets.Sequence(datasets.ClassLabel(names=["x", "y"]))})
    part = datasets.Dataset.from_list([{"labels": [1]}], features=features)
    assert LabelSpace.from_dataset(part).names == ("x", "y")
    assert LabelSpace.from_dataset(datasets.DatasetDict(train=part, test=part)).names == ("x", "y")
    other = datasets.Features({"labels": datasets.Sequence(datasets.ClassLabel(names=["y", "x"]))})
    both = datasets.DatasetDict(train=part, test=datasets.Dataset.from_list([{"labels": [1]}], features=other))
    with pytest.raises(ValueError, match="splits train, test must share one label list"):
        LabelSpace.from_dataset(both)
    with pytest.raises(ValueError, match="list of ClassLabel with names was expected"):
        LabelSpace.from_dataset(datasets.Dataset.from_list([{"labels": [1]}]))
    with pytest.raises(ValueError, match="needs the column 'labels'"):
        LabelSpace.from_dataset(datasets.Dataset.from_list([{"label": 1}]))
