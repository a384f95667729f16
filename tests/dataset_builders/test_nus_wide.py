"""NUS-WIDE: both kinds of label files, Windows separators, named splits, unequal lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset_builders import load_splits
from dataset_builders.nus_wide import read_annotations
from tests.dataset_builders.trees import nus_wide, write


@pytest.mark.parametrize("kind", ["TrainTestLabels", "AllLabels"])
def test_official_split(tmp_path: Path, kind: str) -> None:
    splits = load_splits("nus_wide", nus_wide(tmp_path, kind))
    assert splits["train"].features["labels"].feature.names == ["sky", "dog", "sea"]
    assert splits["train"]["labels"][:] == [[0], [], [0, 1]]
    assert splits["test"]["labels"][:] == [[1]]
    assert splits["train"]["image_id"][:] == ["actor/0001_1", "actor/0002_2", "bay/0003_3"]
    assert splits["test"][0]["image"].size == (24, 16)
    assert len(load_splits("nus_wide", tmp_path, unlabeled="drop")["train"]) == 2


def test_the_split_is_named_and_hashed(tmp_path: Path) -> None:
    nus_wide(tmp_path, "AllLabels")
    (official,) = read_annotations(tmp_path).notes
    assert "split 'official': 3 train, 1 test images, hash " in official
    write(tmp_path / "my_train.txt", "bay/0003_3.jpg\nactor/0001_1.jpg\nactor/0002_2.jpg\n")
    own = read_annotations(tmp_path, split_name="shuffled", train_list="my_train.txt")
    assert own.notes[0].split("hash")[1] == official.split("hash")[1]
    write(tmp_path / "my_train.txt", "actor\\0002_2.jpg\n")
    fewer = read_annotations(tmp_path, split_name="small", train_list="my_train.txt")
    assert fewer.notes[0].split("hash")[1] != official.split("hash")[1]
    assert [record.labels for record in fewer.splits["train"]] == [()]
    with pytest.raises(ValueError, match="give it a split_name"):
        load_splits("nus_wide", tmp_path, train_list="my_train.txt")
    write(tmp_path / "my_train.txt", "actor/0009_9.jpg\n")
    with pytest.raises(ValueError, match=r"my_train.txt, line 1: image 'actor/0009_9.jpg' has no labels"):
        read_annotations(tmp_path, split_name="x", train_list="my_train.txt")


@pytest.mark.parametrize(("text", "line"), [("1\n0\n", 3), ("1\n0\n1\n0\n", 4)])
def test_unequal_lengths_name_file_and_line(tmp_path: Path, text: str, line: int) -> None:
    path = nus_wide(tmp_path) / "Groundtruth" / "TrainTestLabels" / "Labels_dog_Train.txt"
    path.write_text(text)
    with pytest.raises(
        ValueError, match=rf"Labels_dog_Train.txt has \d labels and .*TrainImagelist.txt has 3 .* {line}\."
    ):
        read_annotations(tmp_path)


def test_other_values_missing_files_and_repeated_images(tmp_path: Path) -> None:
    path = nus_wide(tmp_path) / "Groundtruth" / "TrainTestLabels" / "Labels_dog_Train.txt"
    path.write_text("1\n7\n0\n")
    with pytest.raises(ValueError, match=r"Labels_dog_Train.txt, line 2: found '7'; expected 0 or 1"):
        read_annotations(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"Labels_dog_Train.txt is missing"):
        read_annotations(tmp_path)
    write(tmp_path / "ImageList" / "TestImagelist.txt", "a.jpg\na.jpg\n")
    nus_wide(tmp_path / "b")
    write(tmp_path / "b" / "ImageList" / "TestImagelist.txt", "a.jpg\na.jpg\n")
    with pytest.raises(ValueError, match=r"TestImagelist.txt, line 2: 'a.jpg' was already named in line 1"):
        read_annotations(tmp_path / "b")


@pytest.mark.parametrize("name", ["..\\..\\secret.jpg", "C:\\secret.jpg", "\\secret.jpg"])
def test_names_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    nus_wide(tmp_path)
    write(tmp_path / "ImageList" / "TestImagelist.txt", name + "\n")
    with pytest.raises(ValueError, match=r"TestImagelist.txt, line 1: .*(outside|absolute)"):
        read_annotations(tmp_path)


def test_lists_that_are_not_utf8(tmp_path: Path) -> None:
    (nus_wide(tmp_path) / "ImageList" / "TestImagelist.txt").write_bytes(b"bay\\caf\xe9.jpg\n")
    with pytest.raises(ValueError, match=r"TestImagelist.txt, line 1: byte 0xe9 is not UTF-8"):
        read_annotations(tmp_path)
