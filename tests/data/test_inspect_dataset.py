from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mlic_hf.data import inspect_dataset
from mlic_hf.data.inspect_dataset import _caption
from mlic_hf.data.label_space import LabelSpace
from tests.data.pictures import encoded, picture

datasets = pytest.importorskip("datasets")
pytest.importorskip("matplotlib")


def small_dataset(rows: list[tuple[list[int], list[int]]]) -> Any:
    labels = datasets.Sequence(datasets.ClassLabel(names=["cat", "dog", "sea", "sky"]))
    features = datasets.Features(
        {"image": datasets.Image(), "image_id": datasets.Value("string"), "labels": labels, "ignored": labels}
    )
    content = [
        {"image": {"bytes": encoded(picture(seed=i)), "path": None}, "image_id": str(i), "labels": a, "ignored": b}
        for i, (a, b) in enumerate(rows)
    ]
    return datasets.Dataset.from_list(content, features=features)


def test_counts_and_pictures(tmp_path: Path) -> None:
    report = inspect_dataset(small_dataset([([0, 1], [2]), ([1], []), ([], []), ([0, 1, 2], [])]), tmp_path / "out")
    assert json.loads((tmp_path / "out/counts.json").read_text()) == report
    assert report["images"] == 4
    assert report["images_without_labels"] == 1
    assert report["labels_without_images"] == ["sky"]
    assert report["labels_per_image"] == {"mean": 1.5, "most": 3}
    assert report["images_with_so_many_labels"] == {"0": 1, "1": 1, "2": 1, "3": 1}
    assert report["per_label"]["dog"] == {"positives": 3, "ignored": 0, "most_often_with": {"cat": 2, "sea": 1}}
    assert report["per_label"]["sea"]["ignored"] == 1
    for name in ("labels", "co_occurrence", "contact_sheet"):
        with Image.open(tmp_path / "out" / f"{name}.png") as drawn:
            assert min(drawn.size) > 150
            assert len(drawn.convert("RGB").getcolors(1 << 24)) > 20  # not an empty canvas


def test_no_rows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no rows, so nothing can be inspected"):
        inspect_dataset(small_dataset([([0], [])]).select([]), tmp_path)


def test_caption_wraps_and_brackets_ignored_labels() -> None:
    space = LabelSpace(["a" * 20, "b" * 20, "c", "d", "e" * 29, "f" * 29])
    assert _caption({"labels": [2], "ignored": [3]}, space) == "c, (d)"
    assert _caption({"labels": []}, space) == "no label"
    assert _caption({"labels": [0, 1, 2]}, space) == "a" * 20 + "\n" + "b" * 20 + ", c"
    assert _caption({"labels": [0, 1, 4, 5, 4]}, space).endswith("...")
