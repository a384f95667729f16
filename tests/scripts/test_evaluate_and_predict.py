"""evaluate.py and predict.py on a saved student."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from mlic_hf.cli import evaluate, predict


def call(module: object, monkeypatch: pytest.MonkeyPatch, *flags: object) -> None:
    monkeypatch.setattr(sys, "argv", ["script", *map(str, flags)])
    module.main()


def test_evaluate_agrees_with_the_run_and_writes_tables_and_pictures(
    distilled: tuple, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    output, outcome = distilled
    flags = ["--dataset", folder, "--split", "validation", "--output_dir", tmp_path, "--resamples", 50]
    student, alone = output / "student", output / "alone"
    call(evaluate, monkeypatch, "--model", student, "--compare", alone, *flags)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    told = metrics.get("metrics", metrics)
    assert told["mAP"] == pytest.approx(outcome["student"]["metrics"]["eval_mAP"], abs=1e-6)
    with (tmp_path / "per_label.csv").open() as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["ant", "bee", "cat", "dog", "eel"]
    for name in ("precision_recall", "ap_against_frequency", "co_occurrence"):
        assert Image.open(tmp_path / f"{name}.png").size[0] > 200
    assert f"{student} against {alone}" in capsys.readouterr().out


def test_evaluate_refuses_a_split_that_is_not_there(
    distilled: tuple, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["--dataset", folder, "--output_dir", tmp_path]
    with pytest.raises(ValueError, match="has the splits train, validation"):
        call(evaluate, monkeypatch, "--model", distilled[0] / "student", *flags)


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_predict_writes_every_image_of_files_folders_and_globs(
    distilled: tuple, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    images = [folder / "train" / "image-0-0.png", folder / "validation", f"{folder}/train/image-0-1*.png"]
    output = tmp_path / f"tags.{ending}"
    model = distilled[0] / "student"
    call(predict, monkeypatch, *images, "--model", model, "--top_k", 2, "--output", output)
    wanted = {str(images[0]), *map(str, (folder / "validation").glob("*.png"))}
    wanted |= set(map(str, (folder / "train").glob("image-0-1*.png")))
    if ending == "jsonl":
        rows = [json.loads(line) for line in output.read_text().splitlines()]
        assert {row["file"] for row in rows} == wanted
        assert all(len(row["labels"]) == 2 for row in rows)
        assert all(a["score"] >= b["score"] for row in rows for a, b in [row["labels"]])
    else:
        with output.open() as file:
            rows = list(csv.DictReader(file))
        assert {row["file"] for row in rows} == wanted
        assert len(rows) == 2 * len(wanted)


def test_predict_uses_the_tuned_thresholds_or_one_of_your_own(
    distilled: tuple, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    flags = [folder / "validation", "--model", distilled[0] / "student"]
    call(predict, monkeypatch, *flags, "--threshold", "0")
    assert all(line.count(",") == 4 for line in capsys.readouterr().out.splitlines())
    call(predict, monkeypatch, *flags, "--threshold", "1.1")
    assert all(line.endswith(": no label") for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    "flags, error, message",
    [
        (["nothing_*.jpg"], FileNotFoundError, "is no image, and no folder or pattern"),
        (["{picture}", "--output", "tags.xml"], ValueError, r"tags\.xml; a \.jsonl or \.csv"),
        (["{picture}", "--boxes", "drawn"], ValueError, "class maps"),
        (["{broken}"], ValueError, "broken.png"),
    ],
)
def test_predict_refuses(
    distilled: tuple,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    error: type,
    message: str,
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    known = {"picture": folder / "train" / "image-0-0.png", "broken": broken}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        call(predict, monkeypatch, "--model", distilled[0] / "student", *(f.format(**known) for f in flags))
