"""prepare_dataset.py: the report, shards that need no original folder, and what stops it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_builders import load_splits
from mlic_hf.cli.prepare_dataset import main
from tests.dataset_builders.trees import coco, metadata, picture


def folder_with_faults(root: Path) -> Path:
    rows: list[dict[str, Any]] = [{"file_name": f"{name}.jpg", "labels": ["x"]} for name in "abcd"]
    metadata(root / "train", rows)
    metadata(root / "test", [{"file_name": f"{name}.jpg", "labels": ["y"]} for name in "ef"])
    shutil.copy(root / "train" / "a.jpg", root / "test" / "e.jpg")
    (root / "train" / "b.jpg").write_bytes((root / "train" / "b.jpg").read_bytes()[:100])
    (root / "train" / "c.jpg").unlink()
    return root


def test_parquet_shards_train_without_the_folder(tmp_path: Path) -> None:
    folder = metadata(tmp_path / "in", [{"file_name": f"{i}.png", "labels": ["ab"[i % 2]]} for i in range(5)])
    original = load_splits(folder, validation_fraction=0.4, split_seed=1)
    pixels = [np.asarray(image) for image in original["train"]["image"][:]]
    options = ["--data_options", '{"validation_fraction": 0.4, "split_seed": 1}', "--images_per_shard", "2"]
    main(["--name", str(folder), "--to", "parquet", "--output_dir", str(tmp_path / "out"), *options])
    names = sorted(path.name for path in (tmp_path / "out" / "data").iterdir())
    assert names == [
        "manifest.json",
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
        "validation-00000-of-00001.parquet",
    ]
    shutil.rmtree(folder)
    loaded = load_splits(tmp_path / "out")
    assert loaded["train"].features == original["train"].features
    assert loaded["train"]["labels"][:] == original["train"]["labels"][:]
    assert all(np.array_equal(np.asarray(new), old) for new, old in zip(loaded["train"]["image"][:], pixels))
    assert len(load_splits(tmp_path / "out", split="validation[:1]")) == 1
    with pytest.raises(ValueError, match="was prepared before, so its options are fixed"):
        load_splits(tmp_path / "out", min_images_per_label=2)


def test_all_bad_files_of_all_splits_stop_it(tmp_path: Path) -> None:
    folder = folder_with_faults(tmp_path / "in")
    (folder / "test" / "f.jpg").write_bytes(b"")
    arguments = ["--name", str(folder), "--to", "parquet", "--output_dir", str(tmp_path / "out")]
    with pytest.raises(ValueError, match="Bad image files") as error:
        main(arguments)
    said = str(error.value)
    assert "2 of 4 in split 'train'" in said
    assert "b.jpg: cannot be decoded" in said
    assert "c.jpg: missing" in said
    assert "1 of 2 in split 'test'" in said
    assert "f.jpg: zero bytes" in said
    assert not (tmp_path / "out" / "data").exists()
    assert (tmp_path / "out" / "report.json").is_file()


def test_skipped_images_are_counted_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_with_faults(tmp_path / "in")
    arguments = ["--name", str(folder), "--to", "parquet", "--output_dir", str(tmp_path / "out")]
    main([*arguments, "--on_bad_image", "skip"])
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    train = report["splits"]["train"]
    assert (train["images"], train["bad_images"]) == (4, 2)
    assert train["problems"] == {"broken": 1, "missing": 1}
    assert [finding["image_id"] for finding in train["findings"]] == ["train/b.jpg", "train/c.jpg"]
    assert report["duplicates_across_splits"] == [
        [{"split": "train", "image_id": "train/a.jpg"}, {"split": "test", "image_id": "test/e.jpg"}]
    ]
    assert load_splits(tmp_path / "out")["train"]["image_id"][:] == ["train/a.jpg", "train/d.jpg"]
    said = capsys.readouterr().out
    assert "train: 4 images, 0 without labels, 2 bad (1 broken, 1 missing)" in said
    assert "train/train/a.jpg = test/test/e.jpg" in said
    with pytest.raises(ValueError, match="holds parquet shards; give another output folder"):
        main([*arguments, "--on_bad_image", "skip"])
    main([*arguments, "--on_bad_image", "skip", "--overwrite"])


def test_wrong_size_and_duplicate_pictures_within_a_split(tmp_path: Path) -> None:
    folder = coco(tmp_path / "in")
    picture(folder / "train2017" / "000000000025.jpg", (20, 16))
    with pytest.raises(ValueError, match="20x16 pixels, the annotation says 24x16"):
        main(["--name", "coco", "--data_dir", str(folder), "--to", "parquet", "--output_dir", str(tmp_path / "a")])
    shutil.copy(folder / "train2017" / "000000000009.jpg", folder / "train2017" / "000000000025.jpg")
    main(["--name", "coco", "--data_dir", str(folder), "--to", "parquet", "--output_dir", str(tmp_path / "b")])
    report = json.loads((tmp_path / "b" / "report.json").read_text())
    assert len(report["duplicates_within_a_split"]) == 1
    assert report["duplicates_across_splits"] == []
    assert report["splits"]["train"]["label_counts"] == {"car": 0, "dog": 1, "person": 1}


def test_hub_gets_the_good_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    pushed: list[tuple[str, int, bool]] = []

    def push(self: Any, repo_id: str, private: bool) -> None:
        pushed.append((repo_id, len(self["train"]), private))

    monkeypatch.setattr(datasets.DatasetDict, "push_to_hub", push)
    folder = folder_with_faults(tmp_path / "in")
    arguments = ["--name", str(folder), "--to", "hub", "--output_dir", str(tmp_path / "out")]
    with pytest.raises(ValueError, match="--to hub needs --repo_id"):
        main(arguments)
    main([*arguments, "--repo_id", "me/mine", "--private", "--on_bad_image", "skip"])
    assert pushed == [("me/mine", 2, True)]


def test_inspect_writes_counts_and_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    sizes = '{"train_images": 6, "validation_images": 0, "test_images": 3}'
    main(["--name", "digit_scenes", "--to", "inspect", "--output_dir", str(tmp_path), "--data_options", sizes])
    for split, images in (("train", 6), ("test", 3)):
        assert json.loads((tmp_path / split / "counts.json").read_text())["images"] == images
        assert (tmp_path / split / "contact_sheet.png").is_file()


def test_from_the_command_line_a_mistake_is_one_sentence(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "mlic_hf.cli", "prepare_dataset", "--name", str(tmp_path / "in")]
    (tmp_path / "in").mkdir()
    done = subprocess.run(
        [*command, "--to", "parquet", "--output_dir", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        cwd=root,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "is empty; expected metadata.jsonl" in done.stderr
    assert "Traceback" not in done.stderr
