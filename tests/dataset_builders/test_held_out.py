"""The validation part: by image, stratified, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from dataset_builders.held_out import hold_out, with_validation
from dataset_builders.record import Annotations, Record


def records(count: int = 400) -> list[Record]:
    rng = np.random.default_rng(0)
    chances = np.array([0.5, 0.3, 0.1, 0.03])
    return [
        Record(str(index), labels=tuple(np.array(list("abcd"))[rng.random(4) < chances].tolist()))
        for index in range(count)
    ]


def test_a_partition_in_order_with_every_label_in_its_share() -> None:
    rows = records()
    kept, held = hold_out(rows, 0.1, seed=3)
    assert len(held) == 40
    assert sorted(kept + held, key=lambda r: int(r.image_id)) == rows
    assert [int(r.image_id) for r in held] == sorted(int(r.image_id) for r in held)
    for label in "abcd":
        total = sum(label in record.labels for record in rows)
        assert abs(sum(label in record.labels for record in held) - total * 0.1) <= max(2.0, total * 0.02)
        assert any(label in record.labels for record in held)


def test_the_draw_is_a_function_of_the_seed() -> None:
    assert hold_out(records(), 0.2, 1) == hold_out(records(), 0.2, 1)
    assert hold_out(records(), 0.2, 1) != hold_out(records(), 0.2, 2)


def test_other_splits_stay() -> None:
    before = Annotations(["a"], {"train": records(20), "test": records(3)})
    after = with_validation(before, 0.25)
    assert {name: len(rows) for name, rows in after.splits.items()} == {"train": 15, "validation": 5, "test": 3}
    assert with_validation(before, None) is before


def test_refusals() -> None:
    for fraction in (0.0, 1.0, -0.1):
        with pytest.raises(ValueError, match="expected a share"):
            hold_out(records(10), fraction)
    with pytest.raises(ValueError, match="leaves one part empty"):
        hold_out(records(4), 0.05)
    with pytest.raises(ValueError, match="has its own validation split"):
        with_validation(Annotations(["a"], {"train": records(9), "validation": records(2)}), 0.1)
    with pytest.raises(ValueError, match="needs a train split"):
        with_validation(Annotations(["a"], {"test": records(9)}), 0.1)
