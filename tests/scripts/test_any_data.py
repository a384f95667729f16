"""A run on data of any shape: what `save_to_disk` wrote, and a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlic_hf.cli import evaluate
from tests.methods.tiny import NAMES
from tests.scripts.folder import start
from tests.training.tiny import rows

datasets = pytest.importorskip("datasets")


def test_a_run_on_multi_hot_rows_saved_to_disk(tmp_path: Path) -> None:
    def photos(count: int, seed: int) -> datasets.Dataset:
        found = rows(count, seed)
        hot = [[int(label in row["labels"]) for label in range(len(NAMES))] for row in found]
        return datasets.Dataset.from_dict({"photo": [row["image"] for row in found], "hot": hot})

    data = datasets.DatasetDict(train=photos(24, 0), validation=photos(12, 1))
    data.cast_column("photo", datasets.Image()).save_to_disk(tmp_path / "data")
    options = json.dumps({"labels": NAMES})
    told = start("supervised", tmp_path / "data", tmp_path / "run", "--data_options", options)
    (result,) = told.values()
    flags = ["--model", str(tmp_path / "run"), "--dataset", str(tmp_path / "data"), "--data_options", options]
    evaluate.main([*flags, "--split", "validation", "--output_dir", str(tmp_path / "e"), "--resamples", "0"])
    measured = json.loads((tmp_path / "e" / "metrics.json").read_text())["metrics"]
    assert measured["mAP"] == pytest.approx(result["metrics"]["eval_mAP"], abs=1e-6)


def test_a_run_on_a_table(tmp_path: Path) -> None:
    lines = [",".join(["file", "split", *NAMES])]
    for split, count, seed in (("train", 24, 0), ("validation", 12, 1)):
        for row in rows(count, seed):
            name = f"{split}-{row['image_id']}.png"
            row["image"].save(tmp_path / name)
            lines.append(",".join([name, split, *("01"[label in row["labels"]] for label in range(len(NAMES)))]))
    (tmp_path / "table.csv").write_text("\n".join(lines))
    (result,) = start("supervised", tmp_path / "table.csv", tmp_path / "run").values()
    assert result["data"]["labels"] == len(NAMES)
    assert {name: part["images"] for name, part in result["data"]["splits"].items()} == {"train": 24, "validation": 12}
