"""A user's own folder loads in both layouts; each mistake ends with a sentence that names file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dataset_builders import load_splits
from dataset_builders.folder import read_annotations
from tests.dataset_builders.trees import metadata, picture, write

ROWS: list[dict[str, Any]] = [
    {"file_name": "a.jpg", "labels": ["dog", "cat"]},
    {"file_name": "sub/b.png", "labels": [], "ignored": ["cat"]},
    {"file_name": "c.jpg", "labels": ["dog"], "image_id": "third", "split": "test"},
]


def test_one_metadata_file(tmp_path: Path) -> None:
    splits = load_splits(metadata(tmp_path, ROWS))
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 2, "test": 1}
    assert splits["train"].features["labels"].feature.names == ["cat", "dog"]
    assert splits["train"]["labels"][:] == [[0, 1], []]
    assert splits["train"]["ignored"][:] == [[], [0]]
    assert splits["train"]["image_id"][:] == ["a.jpg", "sub/b.png"]
    assert splits["test"][0]["image_id"] == "third"
    assert splits["train"][1]["image"].size == (24, 16)


def test_split_folders_and_their_other_names(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        metadata(tmp_path / split, [{"file_name": "a.jpg", "labels": [split]}])
    annotations = read_annotations(tmp_path)
    assert list(annotations.splits) == ["train", "validation", "test"]
    assert [rows[0].image_id for rows in annotations.splits.values()] == [
        "train/a.jpg",
        "validation/a.jpg",
        "test/a.jpg",
    ]


def test_rows_of_one_file_go_to_the_split_of_their_folder(tmp_path: Path) -> None:
    rows = [{"file_name": f"{name}/x.jpg", "labels": ["a"]} for name in ("train", "test", "other")]
    annotations = read_annotations(metadata(tmp_path, rows))
    assert {split: len(rows) for split, rows in annotations.splits.items()} == {"train": 2, "test": 1}


def test_images_without_a_row_are_counted(tmp_path: Path) -> None:
    metadata(tmp_path, ROWS[:1])
    picture(tmp_path / "deep" / "extra.png")
    (note,) = read_annotations(tmp_path).notes
    assert note.startswith("1 images")
    assert "extra.png" in note


LINES = [
    ('{"file_name": "a.jpg"}', "line 1: no 'labels' column"),
    ('{"file_name": "a.jpg", "tags": ["x"]}', "no 'labels' column \\(found 'tags'\\)"),
    ('{"labels": ["x"]}', "line 1: no 'file_name'"),
    ('{"file_name": "a.jpg", "labels": "dog"}', "'labels' is 'dog'; expected a list"),
    ('{"file_name": "a.jpg", "labels": [1]}', "expected a list of label names"),
    ('{"file_name": "a.jpg", "labels": ["x"], "ignored": ["x"]}', "'x' is in 'labels' and in 'ignored'"),
    ('{"file_name": "a.jpg", "labels": ["x"], "split": "dev"}', "unknown split 'dev'"),
    ('{"file_name": "a.jpg", "labels": ["x"', "line 1, column 38: not valid JSON"),
    ('{"file_name": "../a.jpg", "labels": ["x"]}', "points outside"),
    ('{"file_name": "s/../../a.jpg", "labels": ["x"]}', "points outside"),
    ('{"file_name": "..\\\\a.jpg", "labels": ["x"]}', "points outside"),
    ('{"file_name": "/etc/a.jpg", "labels": ["x"]}', "absolute path"),
    ('{"file_name": "C:\\\\a.jpg", "labels": ["x"]}', "absolute path"),
    ('{"file_name": "", "labels": ["x"]}', "file name is empty"),
    ('{"file_name": "a.jpg", "labels": []}', "Not one row"),
    ("", "is empty"),
]


@pytest.mark.parametrize(("line", "said"), LINES)
def test_malformed_rows(tmp_path: Path, line: str, said: str) -> None:
    write(tmp_path / "metadata.jsonl", line + "\n")
    with pytest.raises(ValueError, match=said):
        read_annotations(tmp_path)


def test_a_link_out_of_the_folder_is_refused_but_the_folder_may_be_one(tmp_path: Path) -> None:
    outside = picture(tmp_path / "outside" / "a.jpg")
    folder = metadata(tmp_path / "data", [{"file_name": "a.jpg", "labels": ["x"]}], images=False)
    (folder / "a.jpg").symlink_to(outside)
    with pytest.raises(ValueError, match=r"line 1: 'a.jpg' is a link that leads outside"):
        read_annotations(folder)
    (folder / "a.jpg").unlink()
    (folder / "sub").symlink_to(outside.parent)
    write(folder / "metadata.jsonl", '{"file_name": "sub/a.jpg", "labels": ["x"]}')
    with pytest.raises(ValueError, match="leads outside"):
        read_annotations(folder)
    good = metadata(tmp_path / "good", [{"file_name": "a.jpg", "labels": ["x"]}])
    (tmp_path / "link").symlink_to(good)
    assert len(read_annotations(tmp_path / "link").splits["train"]) == 1


def test_repeated_rows(tmp_path: Path) -> None:
    metadata(tmp_path, [ROWS[0], ROWS[0]])
    with pytest.raises(ValueError, match=r"line 2: .*a.jpg was already given in .*line 1"):
        read_annotations(tmp_path)


def test_absent_empty_and_double_metadata(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"is empty; expected metadata.jsonl"):
        load_splits(tmp_path)
    with pytest.raises(ValueError, match="neither a folder nor a data set"):
        load_splits(tmp_path / "absent")
    picture(tmp_path / "a.jpg")
    with pytest.raises(FileNotFoundError, match=r"has no metadata.jsonl"):
        load_splits(tmp_path)
    metadata(tmp_path, ROWS[:1])
    metadata(tmp_path / "train", ROWS[:1])
    with pytest.raises(ValueError, match="keep one kind"):
        load_splits(tmp_path)


def test_unknown_label_and_missing_images_are_named(tmp_path: Path) -> None:
    metadata(tmp_path, ROWS)
    with pytest.raises(ValueError, match="line 1: label 'cat' is not among the 1 given labels"):
        load_splits(tmp_path, labels=["dog"])
    splits = load_splits(tmp_path, labels=["dog"], other_labels="drop")
    assert splits["train"]["labels"][:] == [[0], []]
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "sub" / "b.png").write_bytes(b"")
    with pytest.raises(ValueError, match="2 bad image file") as error:
        load_splits(tmp_path)
    assert "a.jpg: missing" in str(error.value)
    assert "b.png: zero bytes" in str(error.value)
    (tmp_path / "sub" / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match="Not one of the 2 images of split 'train' is there"):
        load_splits(tmp_path)


def test_metadata_that_is_not_utf8(tmp_path: Path) -> None:
    metadata(tmp_path, ROWS[:1])
    with (tmp_path / "metadata.jsonl").open("ab") as file:
        file.write('{"file_name": "\xe9.jpg", "labels": ["x"]}\n'.encode("latin-1"))
    with pytest.raises(ValueError, match=r"metadata.jsonl, line 2: byte 0xe9 is not UTF-8"):
        read_annotations(tmp_path)


def test_a_file_on_disk_with_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    metadata(tmp_path, ROWS[:1])
    Path(bytes(tmp_path).decode() + "/caf\udce9.jpg").write_bytes(b"x")
    (note,) = read_annotations(tmp_path).notes
    assert "caf\\udce9.jpg" in note
    assert len(load_splits(tmp_path)["train"]) == 1
