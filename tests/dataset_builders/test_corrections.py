"""Corrections of single labels: read back as `mlic audit` writes them, in any data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dataset_builders import load_splits
from tests.dataset_builders.trees import metadata, picture, write

pytest.importorskip("datasets")
HEAD = "image_id,label,listed,score,correct\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for name in "abc":
        picture(tmp_path / f"{name}.jpg")
    return write(tmp_path / "t.csv", "path,tags,split\na.jpg,cat|dog,train\nb.jpg,,train\nc.jpg,cat,test\n")


def found(place: Path, lines: str, **options: Any) -> dict[str, list[tuple[list[int], list[int]]]]:
    corrections = write(place.parent / "corrections.csv", HEAD + lines)
    splits = load_splits(place, corrections=str(corrections), cache_dir=place.parent / "cache", **options)
    return {name: list(zip(rows["labels"], rows["ignored"])) for name, rows in splits.items()}


def test_a_correction_makes_a_label_present_absent_or_unknown(table: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = "a.jpg,cat,1,0.02,0\nb.jpg,dog,0,0.9,1\nb.jpg,cat,0,0.5,-1\nc.jpg,dog,0,0.8,\nc.jpg,cat,1,0.1,1\n"
    assert found(table, lines) == {"train": [([1], []), ([1], [0])], "test": [([0], [])]}
    assert "3 labels were corrected by" in caplog.text
    assert "1 to present, 1 to absent, 1 to unknown" in caplog.text


def test_another_decision_rebuilds_the_data(table: Path) -> None:
    assert found(table, "a.jpg,cat,1,0.02,0\n")["train"][0] == ([1], [])
    assert found(table, "a.jpg,cat,1,0.02,\n")["train"][0] == ([0, 1], [])


def test_a_label_that_was_seen_to_be_absent_is_not_unknown(table: Path) -> None:
    rows = found(table, "b.jpg,dog,0,0.9,0\n", unlisted="unknown")["train"]
    assert rows == [([0, 1], []), ([], [0])]
    assert found(table, "b.jpg,dog,0,0.9,-1\n", unlisted="unknown")["train"][1] == ([], [0, 1])


def test_a_folder_takes_them_too(tmp_path: Path) -> None:
    rows = [{"file_name": "a.jpg", "labels": ["cat"]}, {"file_name": "b.jpg", "labels": ["dog"]}]
    folder = metadata(tmp_path / "photos", rows)
    assert found(folder, "b.jpg,cat,0,0.9,1\n")["train"] == [([0], []), ([0, 1], [])]


@pytest.mark.parametrize(
    "lines, words",
    [
        ("d.jpg,cat,1,0.1,0\n", r"line 2: there is no image 'd.jpg' \(1 such\)"),
        ("a.jpg,cow,1,0.1,0\n", "line 2: there is no label 'cow' among the 2 of the data"),
        ("a.jpg,cat,1,0.1,yes\n", "line 2, column 'correct': 'yes'; expected 1, 0, -1"),
        ("a.jpg,cat,1,0.1,0\na.jpg,cat,1,0.1,1\n", "line 3: 'cat' of a.jpg was already decided in .* line 2"),
    ],
)
def test_what_cannot_be_meant_is_said(table: Path, lines: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        found(table, lines)


def test_a_file_without_the_columns(table: Path) -> None:
    other = write(table.parent / "other.csv", "image_id,label\na.jpg,cat\n")
    with pytest.raises(ValueError, match="no column 'correct'; expected image_id, label, correct"):
        load_splits(table, corrections=str(other), cache_dir=table.parent / "cache")
    with pytest.raises(FileNotFoundError, match=r"gone\.csv is missing"):
        load_splits(table, corrections=str(table.parent / "gone.csv"), cache_dir=table.parent / "cache")
