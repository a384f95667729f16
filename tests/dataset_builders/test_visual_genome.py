"""Visual Genome 500 in the SSGRL partition."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset_builders import load_splits
from dataset_builders.visual_genome import read_annotations
from tests.dataset_builders.trees import visual_genome, write, write_json


def test_partition_with_two_image_folders(tmp_path: Path) -> None:
    splits = load_splits("visual_genome", visual_genome(tmp_path))
    assert splits["train"]["labels"][:] == [[0, 499], [7]]
    assert splits["test"]["labels"][:] == [[1, 7]]
    assert splits["train"][1]["image"].size == (24, 16)
    assert splits["train"].features["labels"].feature.names[7] == "category_007"


def test_names_from_a_file(tmp_path: Path) -> None:
    visual_genome(tmp_path)
    names = [f"thing {index}" for index in range(500)]
    write_json(tmp_path / "names.json", names)
    write(tmp_path / "names.txt", "\n".join(names[:-1]))
    assert read_annotations(tmp_path, "names.json").names == names
    with pytest.raises(ValueError, match=r"names.txt: expected 500 different names"):
        read_annotations(tmp_path, "names.txt")


def test_bad_partitions(tmp_path: Path) -> None:
    visual_genome(tmp_path)
    write(tmp_path / "test_list_500.txt", "3.jpg\n9.jpg\n")
    with pytest.raises(ValueError, match=r"test_list_500.txt, line 2: image '9.jpg' has no entry"):
        read_annotations(tmp_path)
    write(tmp_path / "test_list_500.txt", "3.jpg\n3.jpg\n")
    with pytest.raises(ValueError, match=r"test_list_500.txt, line 2: '3.jpg' is empty or was named before"):
        read_annotations(tmp_path)
    write(tmp_path / "test_list_500.txt", "3.jpg\n")
    write_json(tmp_path / "vg_category_500_labels_index.json", {"1.jpg": [500], "2.jpg": [0], "3.jpg": [0]})
    with pytest.raises(ValueError, match=r"'1.jpg' has a label outside 0 to 499"):
        read_annotations(tmp_path)
    write(tmp_path / "vg_category_500_labels_index.json", '{"1.jpg": [1, 2')
    with pytest.raises(ValueError, match=r"line 1, column \d+: not valid JSON.*cut"):
        read_annotations(tmp_path)
    (tmp_path / "vg_category_500_labels_index.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"vg_category_500_labels_index.json is missing"):
        load_splits("visual_genome", tmp_path)


def test_an_image_in_both_lists(tmp_path: Path) -> None:
    visual_genome(tmp_path)
    write(tmp_path / "test_list_500.txt", "1.jpg\n")
    with pytest.raises(ValueError, match=r"test_list_500.txt, line 1: image id '1' was already used in .*train_list"):
        load_splits("visual_genome", tmp_path)
