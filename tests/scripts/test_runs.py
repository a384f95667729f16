"""The runs behind the scripts, on a folder of one's own: what they write, when they skip, what they refuse."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

from mlic_hf.cli.errors import explained
from mlic_hf.cli.parsing import parse
from mlic_hf.hub import write_card
from mlic_hf.runs import jobs
from mlic_hf.runs.fit import sole_writer
from mlic_hf.training.checkpoint import UNFINISHED
from tests.scripts.folder import DECODER, start

ROOT = Path(__file__).parents[2]


def test_distil_trains_the_teacher_the_student_alone_and_the_student(distilled: tuple) -> None:
    output, outcome = distilled
    assert set(outcome) == {"teacher", "alone", "student"}
    for stage, told in outcome.items():
        written = json.loads((output / stage / "run.json").read_text())
        assert written["finished"] is True
        assert 0 < written["metrics"]["eval_mAP"] <= 1
        assert told["metrics"] == written["metrics"]
    assert outcome["student"]["settings"]["teacher"] == "../teacher"


def test_the_same_command_again_only_reads(distilled: tuple, folder: Path) -> None:
    output, outcome = distilled
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    again = start("l2d", folder, output, *DECODER, "--student_alone", "true", "--seed", "42")  # the default
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()} == before
    assert again["student"]["metrics"] == outcome["student"]["metrics"]


def test_other_settings_in_the_same_folder_are_refused(distilled: tuple, folder: Path) -> None:
    output, _ = distilled
    told = r"holds a run with other settings \(learning_rate; learning_rate was 0\.0001"
    with pytest.raises(ValueError, match=told):
        start("l2d", folder, output, *DECODER, "--learning_rate", "0.5")


def test_a_run_that_died_before_its_first_step_leaves_its_folder_to_other_settings(
    folder: Path, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing.safetensors")
    with pytest.raises(FileNotFoundError, match=r"missing\.safetensors"):
        start("supervised", folder, tmp_path, "--pretrained", missing)
    assert json.loads((tmp_path / "run.json").read_text())["finished"] is False
    assert start("supervised", folder, tmp_path)["student"]["finished"] is True


@pytest.mark.parametrize("overwrite", ["false", "true"])
def test_a_folder_that_another_run_writes_into_is_refused(folder: Path, tmp_path: Path, overwrite: str) -> None:
    (tmp_path / UNFINISHED).mkdir()
    (tmp_path / UNFINISHED / "weights").touch()
    with (
        sole_writer(tmp_path),
        pytest.raises(ValueError, match="Another run is writing into"),
    ):
        start("supervised", folder, tmp_path, "--overwrite", overwrite)
    assert not (tmp_path / "run.json").exists()
    assert (tmp_path / UNFINISHED / "weights").exists()  # the checkpoint that the other run is writing


def test_the_student_loads_without_a_flag_and_answers_a_pipeline(distilled: tuple, folder: Path) -> None:
    output, _ = distilled
    model = AutoModelForImageClassification.from_pretrained(output / "student")
    assert len(model.config.thresholds) == len(model.config.calibration) == 5
    # it serves as it was trained and measured, whatever timm's own filter for the backbone is
    assert AutoImageProcessor.from_pretrained(output / "student").interpolation == "bilinear"
    tagger = pipeline("image-classification", model=str(output / "student"), top_k=5)
    found = tagger(str(next((folder / "train").glob("*.png"))))
    assert {entry["label"] for entry in found} == {"ant", "bee", "cat", "dog", "eel"}
    assert all(0 < entry["score"] < 1 for entry in found)
    assert sum(entry["score"] for entry in found) != pytest.approx(1.0, abs=1e-3)  # sigmoids, no softmax


def test_a_teacher_with_other_labels_is_refused(distilled: tuple, folder: Path, tmp_path: Path) -> None:
    output, _ = distilled
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    for metadata in other.rglob("metadata.jsonl"):
        metadata.write_text(metadata.read_text().replace("eel", "fox"))
    with pytest.raises(
        ValueError, match=r"The teacher has 5 labels and the data 5: it lacks \['fox'\] and has \['eel'\]"
    ):
        start("l2d", other, tmp_path / "run", *DECODER, "--teacher", str(output / "teacher"))


def test_no_file_of_a_run_holds_a_secret_or_a_private_path(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "hf_" + "aB3" * 11
    home = tmp_path / "home" / "bob"
    output = home / "runs" / "one"
    flags = ["--hub_token", token, "--teacher_run", json.dumps({"hub_token": token})]
    # as the process would see them
    monkeypatch.setattr(sys, "argv", [str(home / "train.py"), *flags, "--data_dir", str(home / "pictures")])
    start("supervised", folder, output, *flags)
    before = (output / "run.json").read_text()
    start("supervised", folder, output, *flags)
    assert (output / "run.json").read_text() == before  # the same settings still: it was only read
    card = write_card(output).read_text()
    written = [path for path in output.rglob("*") if path.is_file()]
    assert len(written) > 10
    assert [path.name for path in written if token.encode() in path.read_bytes()] == []
    assert "train.py" in card
    assert "![Loss and mAP in training](curves.png)" in card
    assert not any(str(tmp_path) in text for text in (before, card))


def test_the_settings_of_a_job_hold_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "hf_" + "aB3" * 11
    settings = parse("", "supervised", ["--hub_token", token, "--output_dir", str(tmp_path), "--use_cpu", "true"])
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: command)
    jobs.start(jobs.Job("random part 0", settings), gpu=None)
    written = (tmp_path / "settings.yaml").read_text()
    assert f"output_dir: {tmp_path}" in written
    assert "token" not in written


def test_psd_trains_its_teachers_as_jobs_and_then_the_student(folder: Path, tmp_path: Path) -> None:
    flags = ["--psd.parts", "2", "--psd.kinds", '["random"]', "--psd.jobs", "2"]
    outcome = start("psd", folder, tmp_path / "psd", *flags)
    teachers = tmp_path / "psd" / "teachers" / "random"
    parts = json.loads((teachers / "partition.json").read_text())["parts"]
    for number, names in enumerate(parts):
        model = AutoModelForImageClassification.from_pretrained(teachers / f"part_{number}")
        assert sorted(model.config.label2id) == sorted(names)
    assert set(outcome) == {"student"}
    told = [line for line in outcome["student"]["log"] if "loss_random" in line]
    assert told[0]["loss"] == pytest.approx(0.5 * told[0]["loss_asl"] + 0.5 * told[0]["loss_random"], rel=1e-4)
    broken = teachers / "part_1"
    before = (broken / "model.safetensors").read_bytes()
    shutil.rmtree(broken)
    given = ["--teachers", str(tmp_path / "psd" / "teachers"), *flags]
    with pytest.raises(FileNotFoundError, match="no teacher of part 1 of the random partition"):
        start("psd", folder, tmp_path / "second", *given)
    start("psd", folder, tmp_path / "psd", *flags[:-1], "1")  # one job at a time gives the same teacher
    assert (broken / "model.safetensors").read_bytes() == before


def test_mulcon_runs_its_two_stages(folder: Path, tmp_path: Path) -> None:
    flags = [
        "--architecture",
        "mulcon",
        "--model_options",
        '{"width": 16, "projection_size": 8}',
        "--ema_decay",
        "0.5",
    ]
    flags += ["--mulcon.stage_one", '{"optim": "adamw_torch"}', "--optim", "sgd"]
    outcome = start("mulcon", folder, tmp_path / "mulcon", *flags)
    assert set(outcome) == {"stage_one", "student"}
    assert "loss_contrast" not in outcome["stage_one"]["log"][0]
    assert outcome["student"]["log"][0]["loss_contrast"] > 0
    assert outcome["student"]["settings"]["init_from"] == "../stage_one"


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--resume", "nowhere"], "resume is nowhere, but there is no such folder"),
        (["--train_split", "trainval"], "train_split is 'trainval', but .* has the splits train, validation"),
        (["--test_split", "test"], "test_split is 'test'"),
        (["--backbone", "resnet999"], "resnet999"),
        (["--init_from", "nowhere"], "no model.safetensors in it"),
        (["--transform", "vhs"], "no transform preset 'vhs'"),
        (["--lr_scales", '{"student.neck": 1}'], "lr_scales names"),
        (["--model_options", '{"depth": 3}'], "no field"),
    ],
)
def test_wrong_settings_end_with_a_sentence(folder: Path, tmp_path: Path, flags: list[str], message: str) -> None:
    with pytest.raises((ValueError, OSError), match=message):
        start("supervised", folder, tmp_path / "run", *flags)


@pytest.mark.parametrize(
    "method, setting, message",
    [
        ("supervised", "teacher", "teacher is given, but supervised asks no teacher"),
        ("mulcon", "teacher_cache", "teacher_cache is given, but mulcon asks no teacher"),
        ("l2d", "teachers", "teachers is given, but l2d asks teacher or teacher_cache"),
        ("psd", "teacher", "teacher is given, but psd asks teachers or teacher_cache"),
    ],
)
def test_a_teacher_that_nobody_asks_is_refused(
    method: str, setting: str, message: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        start(method, folder, tmp_path / "run", f"--{setting}", "somewhere")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("teacher, message", [("nowhere", "neither a folder nor"), (".", "no config.json")])
def test_a_teacher_that_is_none_is_refused(folder: Path, tmp_path: Path, teacher: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        start("l2d", folder, tmp_path / "run", *DECODER, "--teacher", str(tmp_path) if teacher == "." else teacher)


@pytest.mark.parametrize(
    ("flags", "whole"),
    [([], False), (["--traceback", "false"], False), (["--traceback", "true"], True), (["--traceback=true"], True)],
)
def test_the_traceback_is_shown_where_it_is_wanted(
    flags: list[str], whole: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def mistake() -> None:
        raise ValueError("no such label")

    monkeypatch.setattr(sys, "argv", ["mlic", "train", "--dataset", "photos", *flags])
    with pytest.raises(ValueError if whole else SystemExit):
        explained(mistake)
    assert capsys.readouterr().err == ("" if whole else "error: no such label\n")


def test_a_mistake_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png"}\n')
    command = [sys.executable, str(ROOT / "training_scripts" / "train.py"), "--dataset", str(tmp_path)]
    done = subprocess.run([*command, "--output_dir", str(tmp_path / "run")], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "metadata.jsonl" in last
    assert "labels" in last
    assert "Traceback" not in done.stderr
