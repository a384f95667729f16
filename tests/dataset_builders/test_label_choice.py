"""Vocabularies: a given order, rare labels dropped and counted, unknown labels refused."""

from __future__ import annotations

import pytest

from dataset_builders.label_choice import choose_labels
from dataset_builders.record import Annotations, Record


def annotations() -> Annotations:
    rows = [("a", "b"), ("a",), ("a", "c"), ("c",), ()]
    train = [Record(str(i), labels=row, ignored=("b",) if i == 1 else ()) for i, row in enumerate(rows)]
    train[0] = train[0]._replace(boxes=(("a", (0, 0, 1, 1)), ("b", (0, 0, 2, 2))))
    return Annotations(["a", "b", "c"], {"train": train, "test": [Record("t", labels=("b", "c"))]})


def test_no_choice_changes_nothing() -> None:
    assert choose_labels(annotations()) == annotations()


def test_rare_labels_are_dropped_and_counted_on_training_images() -> None:
    chosen = choose_labels(annotations(), min_images_per_label=2)
    assert chosen.names == ["a", "c"]
    assert [record.labels for record in chosen.splits["train"]] == [("a",), ("a",), ("a", "c"), ("c",), ()]
    assert chosen.splits["train"][1].ignored == ()
    assert chosen.splits["train"][0].boxes == (("a", (0, 0, 1, 1)),)
    assert chosen.notes == [
        "1 labels on fewer than 2 training images were dropped.",
        "train: 1 of 6 image labels were dropped with their words; 0 images are left without labels and stay as "
        "all-negative.",
        "test: 1 of 2 image labels were dropped with their words; 0 images are left without labels and stay as "
        "all-negative.",
    ]


def test_given_labels_set_the_order() -> None:
    chosen = choose_labels(annotations(), labels=["c", "new", "a"], other_labels="drop")
    assert chosen.names == ["c", "new", "a"]
    assert chosen.label_counts("train") == {"c": 2, "new": 0, "a": 3}


def test_refusals() -> None:
    with pytest.raises(ValueError, match="label 'b' is not among the 2 given labels"):
        choose_labels(annotations(), labels=["a", "c"])
    with pytest.raises(ValueError, match="names 'a' twice"):
        choose_labels(annotations(), labels=["a", "a"])
    with pytest.raises(ValueError, match="No label is left of 3"):
        choose_labels(annotations(), min_images_per_label=9)
