"""The real lists parse completely, and their counts equal what their files say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dataset_builders import coco, load_splits, nus_wide, visual_genome, voc
from dataset_builders.image_check import check_images
from dataset_builders.record import Record
from tests.golden.cases import GOLDEN
from tests.realdata import REALDATA, needs_realdata

pytestmark = needs_realdata


def co_occurrence(records: list[Record], names: list[str]) -> np.ndarray:
    """Images that carry both labels (C, C), int64."""
    place = {name: index for index, name in enumerate(names)}
    hot = np.zeros((len(records), len(names)), dtype=np.float32)
    rows = np.repeat(np.arange(len(records)), [len(record.labels) for record in records])
    hot[rows, [place[name] for record in records for name in record.labels]] = 1.0
    return (hot.T @ hot).astype(np.int64)


def test_coco_2014_lists() -> None:
    annotations = coco.read_annotations(REALDATA / "lists" / "coco_mlgcn")
    assert {split: len(rows) for split, rows in annotations.splits.items()} == {
        "train": 82081,
        "validation": 40137,
    }
    counts = annotations.label_counts("train")
    assert counts["person"] == 45174
    stated = json.loads((REALDATA / "lists" / "coco_mlgcn" / "train_counts.json").read_text())["per_class"]
    assert counts == stated
    path = GOLDEN / "partition_coco2014_train.npz"
    if not path.is_file():
        pytest.skip(f"no {path} (set MLIC_GOLDEN_DIR)")
    golden = np.load(path)
    assert annotations.names == golden["names"].tolist()
    together = co_occurrence(annotations.splits["train"], annotations.names)
    assert np.array_equal(together.diagonal(), golden["counts"])
    off_diagonal = ~np.eye(80, dtype=bool)
    assert np.array_equal(together[off_diagonal], golden["cooccurrence"][off_diagonal])


def test_voc_2007_lists() -> None:
    annotations = voc.read_annotations(REALDATA / "lists" / "VOC2007")
    assert {split: len(rows) for split, rows in annotations.splits.items()} == {"train": 5011, "test": 4952}
    for split, name in (("train", "trainval"), ("test", "test")):
        for label in voc.NAMES:
            path = REALDATA / "lists" / "VOC2007" / "ImageSets" / "Main" / f"{label}_{name}.txt"
            flags = [line.split()[1] for line in path.read_text().splitlines()]
            rows = annotations.splits[split]
            assert sum(label in record.labels for record in rows) == flags.count("1")
            assert sum(label in record.ignored for record in rows) == flags.count("0")


def test_voc_2012_lists() -> None:
    annotations = voc.read_annotations(REALDATA / "lists" / "VOC2012", "2012", "train_aug")
    assert {split: len(rows) for split, rows in annotations.splits.items()} == {"train": 10582, "validation": 1449}
    lines = (REALDATA / "lists" / "VOC2012" / "labels.txt").read_text().splitlines()
    table = np.array([line.split()[1:] for line in lines], dtype=np.int64)
    total = {name: int(count) for name, count in zip(voc.NAMES, table.sum(0))}
    both = [annotations.label_counts(split) for split in annotations.splits]
    assert {name: both[0][name] + both[1][name] for name in voc.NAMES} == total
    assert len(voc.read_annotations(REALDATA / "lists" / "VOC2012", "2012").splits["train"]) == 1464


def test_nus_wide_lists() -> None:
    annotations = nus_wide.read_annotations(REALDATA / "lists" / "NUS-WIDE")
    assert {split: len(rows) for split, rows in annotations.splits.items()} == {"train": 10000, "test": 5000}
    assert len(annotations.names) == 81
    folder = REALDATA / "lists" / "NUS-WIDE" / "Groundtruth" / "TrainTestLabels"
    for split, suffix in (("train", "Train"), ("test", "Test")):
        stated = {name: (folder / f"Labels_{name}_{suffix}.txt").read_text().count("1") for name in annotations.names}
        assert annotations.label_counts(split) == stated


def test_vg500_lists() -> None:
    sizes = [
        len(visual_genome.read_list(REALDATA / "lists" / "VG500" / name)) for name in visual_genome.LISTS.values()
    ]
    assert sizes == [82904, 10000]


def test_coco_mini() -> None:
    annotations = coco.read_annotations(REALDATA / "coco_mini", with_boxes=True)
    assert {split: len(rows) for split, rows in annotations.splits.items()} == {"train": 343, "validation": 206}
    for split, phase in (("train", "train"), ("validation", "val")):
        content = json.loads((REALDATA / "coco_mini" / "annotations" / f"instances_{phase}2017.json").read_text())
        names = {entry["id"]: entry["name"] for entry in content["categories"]}
        pairs = {(entry["image_id"], names[entry["category_id"]]) for entry in content["annotations"]}
        counts = annotations.label_counts(split)
        assert counts == {name: sum(label == name for _, label in pairs) for name in annotations.names}
        assert min(counts.values()) >= 1
        assert sum(len(record.boxes) for record in annotations.splits[split]) == len(content["annotations"])
    assert sum(not record.labels for rows in annotations.splits.values() for record in rows) == 5
    found = check_images(annotations.splits["validation"], "decode")
    assert [finding for finding in found if finding.bad] == []


def test_corel5k_loads_as_a_folder() -> None:
    splits = load_splits(REALDATA / "corel5k" / "train", min_images_per_label=50, validation_fraction=0.1)
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 4050, "validation": 450}
    assert len(splits["train"].features["labels"].feature.names) == 74
    assert splits["train"][0]["image"].size in ((192, 128), (128, 192))
