"""Runs on shards that are streamed: what they say, and what evaluates them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlic_hf.cli import evaluate
from tests.dataset_builders.shards import parquet_folder, tar_folder
from tests.methods.tiny import NAMES
from tests.scripts.folder import make_folder, start
from tests.training.tiny import rows

STREAM = ["--streaming", "true", "--shuffle_buffer", "7"]


@pytest.fixture(scope="module")
def splits() -> dict[str, list[dict[str, Any]]]:
    return {"train": rows(24), "validation": rows(12, seed=1)}


def metrics(folder: Path, *flags: str) -> dict[str, Any]:
    evaluate.main([*flags, "--output_dir", str(folder), "--resamples", "0"])
    return json.loads((folder / "metrics.json").read_text())["metrics"]


@pytest.mark.parametrize("make", [tar_folder, parquet_folder])
def test_a_run_on_streamed_shards(make: Any, splits: Any, tmp_path: Path) -> None:
    data = make(tmp_path / "data", splits, NAMES, 5)
    (told,) = start("supervised", data, tmp_path / "run", *STREAM, "--num_train_epochs", "2").values()
    assert told["steps"] == 6
    described = told["data"]["splits"]
    assert {name: (part["images"], part["shards"]) for name, part in described.items()} == {
        "train": (24, 5),
        "validation": (12, 3),
    }
    assert all(len(part["hash"]) == 16 for part in described.values())
    flags = ["--model", str(tmp_path / "run"), "--dataset", str(data), "--split", "validation"]
    found = metrics(tmp_path / "streamed", *flags, "--streaming")
    assert found["mAP"] == pytest.approx(told["metrics"]["eval_mAP"], abs=1e-6)
    if make is parquet_folder:
        assert metrics(tmp_path / "loaded", *flags) == found


def test_settings_that_do_not_go_with_a_stream_are_sentences(splits: Any, tmp_path: Path) -> None:
    data = parquet_folder(tmp_path / "data", splits, NAMES, 5)
    with pytest.raises(ValueError, match="cache_images keeps every image in memory and streaming none"):
        start("supervised", data, tmp_path / "run", *STREAM, "--cache_images", "true")
    with pytest.raises(ValueError, match="folds picks images of a split, which cannot be done in a stream"):
        start("supervised", data, tmp_path / "run", *STREAM, "--folds", "3", "--fold", "0")
    with pytest.raises(ValueError, match="buffer_size is 0"):
        start("supervised", data, tmp_path / "run", "--streaming", "true", "--shuffle_buffer", "0")
    with pytest.raises(ValueError, match="is read picture by picture from its own files"):
        start("supervised", make_folder(tmp_path / "photos"), tmp_path / "run", *STREAM)
