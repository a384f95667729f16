"""Digit scenes are the same everywhere, keep the splits' digits apart and follow the planted co-occurrence."""

from __future__ import annotations

import numpy as np
import pytest

from dataset_builders import load_splits
from dataset_builders.digit_scene_drawing import FRIENDS, STRANGERS, digit_pool, draw_scene, scene_labels
from dataset_builders.digit_scenes import NAMES, read_annotations

SMALL = {"train_images": 12, "validation_images": 4, "test_images": 5}


def test_a_scene_is_a_function_of_seed_split_and_index() -> None:
    first, boxes = draw_scene(3, "train", 7)
    draw_scene(3, "train", 8)
    again, boxes_again = draw_scene(3, "train", 7)
    assert np.array_equal(np.asarray(first), np.asarray(again))
    assert boxes == boxes_again
    others = [draw_scene(4, "train", 7)[0], draw_scene(3, "test", 7)[0], draw_scene(3, "train", 6)[0]]
    assert not any(np.array_equal(np.asarray(first), np.asarray(other)) for other in others)


def test_splits_share_no_handwritten_digit() -> None:
    seen: dict[bytes, str] = {}
    sizes = dict.fromkeys(("train", "validation", "test"), 0)
    repeats = 0
    for split in sizes:
        for label in range(10):
            for digit in digit_pool(split, label):
                sizes[split] += 1
                repeats += seen.setdefault(digit.tobytes(), split) != split
    assert repeats == 0
    assert sum(sizes.values()) == 1797
    assert sizes["train"] > 1200
    assert min(sizes.values()) > 150


def test_one_to_five_digits_with_friends_and_without_strangers() -> None:
    scenes = [scene_labels(0, "train", index) for index in range(1500)]
    assert {len(scene) for scene in scenes} == {1, 2, 3, 4, 5}
    together = np.zeros((10, 10))
    for scene in scenes:
        present = np.isin(np.arange(10), scene)
        together += np.outer(present, present)
    counts = together.diagonal()
    assert all(together[a, b] == 0 for a, b in STRANGERS)
    lift = together * len(scenes) / np.outer(counts, counts)
    assert min(lift[a, b] for a, b in FRIENDS) > 1.5
    assert counts.min() / len(scenes) > 0.1


@pytest.mark.parametrize("size", [32, 64, 96])
def test_boxes_lie_in_the_image_and_hold_the_digits(size: int) -> None:
    for index in range(20):
        image, placed = draw_scene(0, "test", index, image_size=size)
        assert image.size == (size, size)
        assert image.mode == "RGB"
        assert [digit.label for digit in placed] == scene_labels(0, "test", index)
        for _, (left, top, right, bottom) in placed:
            assert 0 <= left < right <= size
            assert 0 <= top < bottom <= size
            assert bottom - top >= size * 0.1


def test_loaded_rows_equal_the_drawn_scenes() -> None:
    splits = load_splits("digit_scenes", **SMALL, image_size=48, seed=5, with_boxes=True)
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 12, "validation": 4, "test": 5}
    row = splits["test"][3]
    image, placed = draw_scene(5, "test", 3, image_size=48)
    assert np.array_equal(np.asarray(row["image"]), np.asarray(image))
    assert row["image_id"] == "test-00003"
    assert row["labels"] == sorted({digit.label for digit in placed})
    assert row["ignored"] == []
    assert [(box["label"], tuple(box["bbox"])) for box in row["boxes"]] == [(d.label, d.box) for d in placed]
    assert splits["train"].features["labels"].feature.names == list(NAMES)


def test_a_longer_data_set_begins_with_the_shorter_one() -> None:
    short, long = read_annotations(5, 0, 0), read_annotations(9, 1, 0)
    assert long.splits["train"][:5] == short.splits["train"]
    assert "validation" not in short.splits


@pytest.mark.parametrize(
    ("options", "said"),
    [({"image_size": 16}, "image_size is 16"), ({"seed": -1}, "negative"), ({"sede": 1}, "Unknown option 'sede'")],
)
def test_bad_options(options: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_splits("digit_scenes", **options)
