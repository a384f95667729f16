"""evaluate.py and predict.py on a saved student."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from benchmarks import agreement
from mlic_hf.cli import evaluate, predict
from mlic_hf.data import LabelSpace
from mlic_hf.export import checkpoint_scores
from mlic_hf.methods.saved_model import load_saved
from mlic_hf.runs import tagging
from mlic_hf.runs.data import Data
from mlic_hf.runs.picture_sources import Picture


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


def test_json_for_programs(distilled: tuple, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    student = str(distilled[0] / "student")
    flags = ["--model", student, "--dataset", str(folder), "--split", "validation", "--resamples", "20"]
    evaluate.main([*flags, "--output_dir", str(tmp_path), "--compare", student, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["metrics"] == json.loads((tmp_path / "metrics.json").read_text())["metrics"]
    assert told["mAP_difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    (tmp_path / "broken.png").write_bytes(b"")
    predict.main([str(folder / "validation"), str(tmp_path / "broken.png"), "--model", student, "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 13
    assert "zero bytes" in rows[12]["error"]


def test_evaluate_resizes_as_the_model_asks(distilled: tuple, tmp_path: Path) -> None:
    """Pictures of 40 pixels for a model of 32 that wants the nearest ones, as its image processor gives them."""
    model = tmp_path / "model"
    shutil.copytree(distilled[0] / "student", model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"interpolation": "nearest"}))
    noise = np.random.default_rng(3).integers(0, 256, (6, 40, 40, 3), dtype=np.uint8)
    rows = [{"image": Image.fromarray(x), "image_id": str(i), "labels": [i % 5]} for i, x in enumerate(noise)]
    data = Data({"validation": rows}, LabelSpace(["ant", "bee", "cat", "dog", "eel"]), {"name": "noise"})
    options = ["--model", str(model), "--split", "validation", "--output_dir", str(tmp_path)]
    scores, *_ = evaluate.score(str(model), data, evaluate.parse_arguments(options))
    expected = checkpoint_scores(load_saved(str(model)).eval(), [row["image"] for row in rows])
    np.testing.assert_allclose(scores, expected, atol=1e-6)


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
        assert {row["error"] for row in rows} == {""}
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name]  # no journal is left


def test_evaluate_tells_what_calibration_changes(
    distilled: tuple, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    flags = ["--model", distilled[0] / "student", "--dataset", folder, "--split", "validation"]
    call(evaluate, monkeypatch, *flags, "--output_dir", tmp_path, "--resamples", "0")
    plain, calibrated = re.search(r"error: (.*) % plain, (.*) % calibrated", capsys.readouterr().out).groups()
    assert float(calibrated) < float(plain)  # it was fitted on these images
    assert (tmp_path / "reliability.png").is_file()
    metrics = json.loads((tmp_path / "metrics.json").read_text())["metrics"]
    assert float(plain) == pytest.approx(100 * metrics["calibration_error"], abs=0.01)


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
        (["nothing_*.jpg"], FileNotFoundError, "is no image, and no folder, pattern, list"),
        (["{picture}", "--output", "tags.xml"], ValueError, r"tags\.xml; a \.jsonl or \.csv"),
        (["{picture}", "--resume"], ValueError, "give it with --output"),
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
    known = {"picture": folder / "train" / "image-0-0.png"}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        call(predict, monkeypatch, "--model", distilled[0] / "student", *(f.format(**known) for f in flags))


@pytest.mark.parametrize("value", ["0", "-3", "many", "1.5"])
def test_a_batch_size_that_makes_no_sense(value: str, capsys: pytest.CaptureFixture) -> None:
    for verb, flags in ((predict, ["x.jpg"]), (evaluate, ["--output_dir", "out"])):
        with pytest.raises(SystemExit) as exit_:
            verb.main(["--model", "m", *flags, "--batch_size", value])
        assert exit_.value.code == 2
        assert f"--batch_size: {value!r}; a whole number of 1 or more was expected" in capsys.readouterr().err


class TestBrokenPictures:
    """One broken picture costs one line."""

    def photos(self, folder: Path, place: Path) -> list[Path]:
        """ok, broken, ok, missing bytes."""
        place.mkdir()
        good = sorted((folder / "train").glob("*.png"))[:2]
        files = [place / name for name in ("a.png", "b.png", "c.png", "d.png")]
        files[0].write_bytes(good[0].read_bytes())
        files[1].write_bytes(good[0].read_bytes()[:90])
        files[2].write_bytes(good[1].read_bytes())
        files[3].write_bytes(b"")
        return files

    @pytest.mark.parametrize("batch_size", ["1", "2", "32"])
    def test_predict_keeps_the_others(
        self, distilled: tuple, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture, batch_size: str
    ) -> None:
        files = self.photos(folder, tmp_path / "photos")
        flags = ["--model", str(distilled[0] / "student"), "--top_k", "1", "--batch_size", batch_size]
        predict.main([str(tmp_path / "photos"), *flags, "--output", str(tmp_path / "tags.jsonl")])
        rows = [json.loads(line) for line in (tmp_path / "tags.jsonl").read_text().splitlines()]
        assert [row["file"] for row in rows] == list(map(str, files))
        assert ["labels" in row for row in rows] == [True, False, True, False]
        assert "cannot be decoded" in rows[1]["error"]
        assert "zero bytes" in rows[3]["error"]
        said = capsys.readouterr().err
        assert said.count("b.png: error: ") == said.count("d.png: error: ") == 1
        assert "2 of 4 images could not be read" in said
        # the labels are those of the pictures alone
        predict.main([str(files[0]), str(files[2]), *flags, "--output", str(tmp_path / "alone.jsonl")])
        alone = [json.loads(line) for line in (tmp_path / "alone.jsonl").read_text().splitlines()]
        assert alone == [rows[0], rows[2]]

    def test_strict_is_exit_status_1_and_the_output_whole(
        self, distilled: tuple, folder: Path, tmp_path: Path
    ) -> None:
        self.photos(folder, tmp_path / "photos")
        output = tmp_path / "tags.csv"
        flags = ["--model", str(distilled[0] / "student"), "--threshold", "1.1", "--output", str(output)]
        with pytest.raises(SystemExit) as exit_:
            predict.main([str(tmp_path / "photos"), *flags, "--strict"])
        assert exit_.value.code == 1
        with output.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [(row["label"], bool(row["error"])) for row in rows] == [("", False), ("", True)] * 2

    def test_evaluate_names_all_or_leaves_them_out(
        self, distilled: tuple, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
    ) -> None:
        photos = tmp_path / "photos"
        shutil.copytree(folder, photos)
        files = sorted((photos / "validation").glob("*.png"))
        for broken in (files[1], files[4]):
            broken.write_bytes(broken.read_bytes()[:90])
        flags = ["--model", str(distilled[0] / "student"), "--dataset", str(photos), "--split", "validation"]
        flags += ["--resamples", "0", "--batch_size", "5"]
        with pytest.raises(
            ValueError, match=rf"(?s)2 of 12 pictures cannot be read.*{files[1].name}.*{files[4].name}"
        ):
            evaluate.main([*flags, "--output_dir", str(tmp_path / "a")])
        evaluate.main([*flags, "--output_dir", str(tmp_path / "b"), "--on_bad_image", "skip"])
        assert "2 of 12 pictures could not be read and were left out." in capsys.readouterr().out
        told = json.loads((tmp_path / "b" / "metrics.json").read_text())
        assert (told["images"], told["images_left_out"]) == (10, 2)
        # the numbers are those of the good pictures alone
        lines = (photos / "validation" / "metadata.jsonl").read_text().splitlines()
        gone = (files[1].name, files[4].name)
        kept = [line for line in lines if json.loads(line)["file_name"] not in gone]
        (photos / "validation" / "metadata.jsonl").write_text("\n".join(kept))
        evaluate.main([*flags, "--output_dir", str(tmp_path / "c")])
        alone = json.loads((tmp_path / "c" / "metrics.json").read_text())
        assert alone["metrics"] == pytest.approx(told["metrics"], abs=1e-6)


class TestOutput:
    """The output is whole or not there, and nothing that was done is done again."""

    def test_nothing_is_opened_before_the_model_is_there(self, folder: Path, tmp_path: Path) -> None:
        output = tmp_path / "tags.jsonl"
        output.write_text("of an earlier run\n")
        with pytest.raises(ValueError, match="neither a folder nor a Hub repository"):
            predict.main([str(folder / "train"), "--model", "no/such/model", "--output", str(output)])
        assert output.read_text() == "of an earlier run\n"

    def test_a_stopped_run_goes_on(
        self, distilled: tuple, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        output, whole = tmp_path / "tags.jsonl", tmp_path / "whole.jsonl"
        flags = [str(folder / "train"), "--model", str(distilled[0] / "student"), "--batch_size", "4"]
        predict.main([*flags, "--output", str(whole)])
        real, seen = tagging.read_image, []

        def stops(source: Any, name: str) -> Any:
            if len(seen) == 14:
                raise KeyboardInterrupt
            seen.append(name)
            return real(source, name)

        monkeypatch.setattr(tagging, "read_image", stops)
        with pytest.raises(KeyboardInterrupt):
            predict.main([*flags, "--output", str(output)])
        assert not output.exists()
        journal = tmp_path / "tags.jsonl.partial"
        with journal.open("a") as file:
            file.write('{"file": "cut off in the mid')  # as a kill would leave it
        with pytest.raises(ValueError, match="left by a stopped run; go on with `resume`"):
            predict.main([*flags, "--output", str(output)])
        with pytest.raises(ValueError, match=r"begun with other settings \(top_k\)"):
            predict.main([*flags, "--output", str(output), "--resume", "--top_k", "2"])
        seen.clear()
        monkeypatch.setattr(tagging, "read_image", lambda source, name: (seen.append(name), real(source, name))[1])
        predict.main([*flags, "--output", str(output), "--resume"])
        assert output.read_text() == whole.read_text()
        assert len(seen) == 24 - 12
        assert not journal.exists()

    def test_pictures_of_one_name_get_boxes_of_their_own(self, tmp_path: Path) -> None:
        files = [Picture(name) for name in ("a/x.jpg", "b/x.jpg", "a/X.png", "a/y.jpg")]
        named = tagging.box_files(files, tmp_path)
        assert len({str(path).casefold() for path in named.values()}) == 4
        assert named[files[3]] == tmp_path / "y.png"
        assert tagging.box_files(files[::-1], tmp_path) == named

    def test_names_that_cannot_be_printed(
        self, distilled: tuple, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
    ) -> None:
        photos = tmp_path / "photos"
        photos.mkdir()
        content = (folder / "train" / "image-0-0.png").read_bytes()
        names = [b"two\nlines.png", b"latin\xe9.png", "\u2028\u00e9.png".encode(), b"esc\x1b[2J.png"]
        for name in names:
            (photos / os.fsdecode(name)).write_bytes(content)
        flags = [str(photos), "--model", str(distilled[0] / "student"), "--top_k", "1"]
        predict.main(flags)
        said = capsys.readouterr().out.splitlines()
        assert len(said) == 4
        assert all(line.isprintable() for line in said)
        for ending in ("jsonl", "csv"):
            predict.main([*flags, "--output", str(tmp_path / f"tags.{ending}")])
        rows = [json.loads(line) for line in (tmp_path / "tags.jsonl").read_text().split("\n")[:-1]]
        assert {os.fsencode(row["file"]).split(b"/")[-1] for row in rows} == set(names)
        with (tmp_path / "tags.csv").open(newline="") as file:
            assert len(list(csv.DictReader(file))) == 4


class TestModelFolders:
    """Weights that are not those of the model are no model."""

    def broken_copy(self, distilled: tuple, place: Path, change: Any) -> str:
        shutil.copytree(distilled[0] / "student", place)
        weights = load_file(place / "model.safetensors")
        change(weights)
        save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
        return str(place)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda w: w.pop("head.queries"), r"1 tensors are missing \(head\.queries\)"),
            (lambda w: w.pop("backbone.net.conv1.0.weight"), r"1 tensors are missing \(backbone\."),
            (lambda w: w.update(more=torch.zeros(2)), r"1 tensors are not of this model \(more\)"),
            (
                lambda w: w.update(other=w.pop("head.queries")),
                r"missing \(head\.queries\); 1 tensors are not .*\(other\)",
            ),
            (lambda w: w["head.queries"].view(-1)[3:4].fill_(float("nan")), r"NaN or infinity \(head\.queries\)"),
            (lambda w: w["head.queries"].view(-1)[3:4].fill_(float("inf")), r"NaN or infinity \(head\.queries\)"),
            (lambda w: w.update({"head.queries": w["head.queries"][:-1].clone()}), r"another shape \(head\.queries\)"),
        ],
    )
    def test_they_are_named(self, distilled: tuple, folder: Path, tmp_path: Path, change: Any, message: str) -> None:
        model = self.broken_copy(distilled, tmp_path / "model", change)
        with pytest.raises(ValueError, match=rf"The model .* is not whole: .*{message}"):
            predict.main([str(folder / "validation"), "--model", model])


def test_agreement_tells_how_far_a_student_is_from_its_teacher(
    distilled: tuple, folder: Path, capsys: pytest.CaptureFixture
) -> None:
    output, outcome = distilled
    students = [str(output / name) for name in ("teacher", "student")]
    flags = ["--dataset", str(folder), "--output_dir", str(output), "--splits", "validation", "--sizes", "16", "32"]
    agreement.main(["--teacher", students[0], "--students", *students, *flags])
    lines = capsys.readouterr().out.splitlines()
    known = {name: 100 * outcome[name]["metrics"]["eval_mAP"] for name in ("teacher", "student")}
    assert lines[0] == f"validation: teacher {known['teacher']:.2f} mAP"
    assert lines[1].startswith("validation: teacher shown 16 px ")
    assert lines[2] == f"validation: teacher shown 32 px {known['teacher']:.2f} mAP, MLD 0"  # its own size
    assert lines[3] == f"validation: {students[0]} {known['teacher']:.2f} mAP, MLD 0"
    assert lines[4].startswith(f"validation: {students[1]} {known['student']:.2f} mAP, MLD ")
    assert all(float(lines[line].split()[-1]) > 0 for line in (1, 4))


def test_agreement_is_the_mean_over_images_of_the_sum_over_labels() -> None:
    teacher, student = np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([[0.25, 0.25], [0.5, 0.25]])
    one = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    assert agreement.divergence(student, teacher) == pytest.approx(1.5 * one, rel=1e-6)
