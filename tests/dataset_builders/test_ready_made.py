"""Data of others, with columns of their own: from `save_to_disk`, as Parquet, and COCO's val2017 alone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import load_splits
from tests.data.pictures import encoded, picture
from tests.dataset_builders.trees import coco

datasets = pytest.importorskip("datasets")

NAMES = ["sea", "sky", "cat"]
HOT = [[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, -1]]


def photos() -> Any:
    rows = [{"photo": {"bytes": encoded(picture(30, 20, i)), "path": None}, "hot": hot} for i, hot in enumerate(HOT)]
    hot = datasets.Sequence(datasets.Value("int8"))
    return datasets.Dataset.from_list(rows, features=datasets.Features({"photo": datasets.Image(), "hot": hot}))


def test_save_to_disk_keeps_its_columns(tmp_path: Path) -> None:
    photos().save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=photos(), test=photos().select([0])).save_to_disk(tmp_path / "two")
    assert {name: len(rows) for name, rows in load_splits(tmp_path / "one").items()} == {"train": 4}
    loaded = load_splits(str(tmp_path / "two"))
    assert {name: rows.column_names for name, rows in loaded.items()} == {
        "train": ["photo", "hot"],
        "test": ["photo", "hot"],
    }
    assert len(load_splits(tmp_path / "two", split="test")) == 1
    assert len(list(load_splits(tmp_path / "two", split="train", streaming=True))) == 4
    with pytest.raises(ValueError, match=r"split is 'dev', but .*two has train, test"):
        load_splits(tmp_path / "two", split="dev")


def test_parquet_of_other_columns(tmp_path: Path) -> None:
    photos().to_parquet(tmp_path / "train-00000-of-00001.parquet")
    assert load_splits(tmp_path)["train"].column_names == ["photo", "hot"]
    assert [row["hot"] for row in load_splits(tmp_path, split="train", streaming=True)] == HOT


def test_a_run_reads_them_by_guessed_or_named_columns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from mlic_hf.data import label_lists
    from mlic_hf.runs.data import load_rows

    photos().save_to_disk(tmp_path / "one")
    with caplog.at_level(logging.WARNING):
        splits, space = load_rows(str(tmp_path / "one"), None, {"labels": NAMES})
    assert "Pictures are read from the column 'photo', labels from 'hot' as multi_hot." in caplog.text
    assert space.names == tuple(NAMES)
    assert label_lists(splits["train"]) == [[0], [1, 2], [], [0, 1]]
    assert splits["train"][3]["ignored"] == [2]
    with pytest.raises(ValueError, match=r"Split 'train': label_column is 'tags', but the columns are 'photo', 'hot'"):
        load_rows(str(tmp_path / "one"), None, {"labels": NAMES, "label_column": "tags"})
    with pytest.raises(ValueError, match=r"holds \d, and nothing says what that is called"):
        load_rows(str(tmp_path / "one"), None, {})


def test_val2017_alone_is_a_data_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = load_splits("coco", coco(tmp_path / "whole", year="2017"))
    assert list(whole) == ["train", "validation"]
    # the official annotation archive holds both splits; only val2017 was fetched
    folder = tmp_path / "whole"
    (folder / "train2017").rename(tmp_path / "kept")
    with caplog.at_level(logging.WARNING):
        alone = load_splits("coco", folder)
    assert list(alone) == ["validation"]
    assert alone["validation"]["image_id"][:] == whole["validation"]["image_id"][:]
    assert "train was left out: there is no folder train2017 with its images." in caplog.text
    # its images come later: nothing of the cache is believed
    (tmp_path / "kept").rename(folder / "train2017")
    assert list(load_splits("coco", folder)) == ["train", "validation"]
    # only its annotations and images
    (folder / "annotations" / "instances_train2017.json").unlink()
    assert list(load_splits("coco", folder)) == ["validation"]
