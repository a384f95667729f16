"""`mlic study`: what it trains, what it reads, what it never looks at."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from mlic_hf.cli.parsing import parse
from mlic_hf.cli.study import main
from mlic_hf.runs import study as studies
from mlic_hf.runs.jobs import Job
from mlic_hf.runs.stages import run
from tests.scripts.folder import DECODER, FLAGS

FOLDER = Path(__file__).parents[2] / "benchmarks" / "studies"
STUDIES = sorted(path for path in FOLDER.glob("*.yaml") if not path.stem.endswith("_recipe"))
STUDY = """
recipe: digit_scenes/l2d
seeds: [0, 1]
teacher: {num_train_epochs: 1}
baseline: {method: supervised}
variants:
  logits: {l2d: {weight_class_aware: 0, weight_instance_aware: 0}}
"""


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the jobs that were run, in this process instead of processes of their own."""
    names: list[str] = []

    def here(jobs: Sequence[Job], at_once: int, unit: str) -> list[Job]:
        for job in jobs:
            names.append(job.name)
            run(job.settings)
        return []

    monkeypatch.setattr(studies, "run_jobs", here)
    return names


def write(folder: Path, text: str = STUDY) -> str:
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    return str(folder / "study.yaml")


def with_test_split(folder: Path, place: Path) -> str:
    shutil.copytree(folder, place)
    shutil.copytree(place / "validation", place / "test")
    return str(place)


def test_a_study_trains_what_is_missing_and_tells_the_gains(
    folder: Path, tmp_path: Path, trained: list[str], capsys: pytest.CaptureFixture
) -> None:
    flags = ["--dataset", with_test_split(folder, tmp_path / "pictures"), *FLAGS, *DECODER]
    output = tmp_path / "runs"
    command = [write(tmp_path), "--output_dir", str(output), "--resamples", "20", *flags]
    main(command)
    assert trained == ["teacher", "baseline seed 0", "logits seed 0", "baseline seed 1", "logits seed 1"]
    told = json.loads((output / "study_validation.json").read_text())
    written = {
        name: [json.loads((output / name / place / "run.json").read_text()) for place in places]
        for name, places in {
            "baseline": ["seed_0", "seed_1"],
            "logits": ["seed_0/student", "seed_1/student"],
        }.items()
    }
    scores = {name: [run["metrics"]["eval_mAP"] for run in runs] for name, runs in written.items()}
    for name in scores:
        assert list(told[name]["mAP"].values()) == pytest.approx(scores[name], abs=1e-6)
    gains = [a - b for a, b in zip(scores["logits"], scores["baseline"])]
    assert told["logits"]["gain"][0] == pytest.approx(sum(gains) / 2, abs=1e-6)
    assert written["logits"][0]["settings"]["teacher"] == "../../../teacher"
    assert all(run["settings"]["test_split"] is None for runs in written.values() for run in runs)
    assert not list(output.rglob("scores_test*"))
    assert (output / "study_validation.png").is_file()

    trained.clear()
    (output / "logits/seed_1/student/run.json").unlink()
    main([*command, "--only_tell", "true", "--test", "true"])
    assert trained == []
    assert "logits seed 1 is not finished." in capsys.readouterr().out
    at_test = json.loads((output / "study_test.json").read_text())
    assert list(at_test["logits"]["mAP"]) == ["0"]
    assert at_test["logits"]["mAP"]["0"] == told["logits"]["mAP"]["0"]  # this test split is the validation split
    (output / "study_test.json").unlink()
    main([*command, "--only_tell", "false", "--test", "false"])
    assert trained == ["logits seed 1"]
    assert not (output / "study_test.json").exists()

    other = write(tmp_path, STUDY.replace("class_aware: 0", "class_aware: 1"))
    with pytest.raises(ValueError, match=r"holds a run with other settings \(l2d.weight_class_aware;"):
        main([other, *command[1:]])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seeds: [0]", r"has the keys \['seeds'\]; it wants \['baseline', 'recipe', 'seeds', 'variants'\]"),
        (STUDY + "  baseline: {}", "has a variant named 'baseline'"),
        (STUDY.replace("{method: supervised}", "{learning_rat: 1}"), "unknown key 'learning_rat'; did you mean"),
        ("- 1", "is a list; a mapping of settings was expected"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        studies.read_study(write(tmp_path, text))


@pytest.mark.parametrize("flag", ["--test", "--only_tell"])
def test_a_switch_is_true_or_false(tmp_path: Path, flag: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as left:
        main([write(tmp_path), flag, "maybe"])
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert f"argument {flag}: Truthy value expected: got maybe" in told


def test_telling_of_nothing_is_refused(folder: Path, tmp_path: Path) -> None:
    flags = ["--dataset", str(folder), "--output_dir", str(tmp_path / "runs"), *FLAGS, *DECODER]
    with pytest.raises(ValueError, match="No run of this study is finished"):
        main([write(tmp_path), "--only_tell", "true", *flags])


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_of_the_project_is_made_of_settings_that_exist(path: Path) -> None:
    study = studies.read_study(path)
    flags = ["--config", study.recipe, "--dataset", "photos", "--teacher", "teachers", "--output_dir", "x"]
    _, runs = studies.jobs_of(study, parse("", "supervised", flags))
    assert list(runs) == ["baseline", *study.variants]
    wanted = {
        json.dumps(job.settings.values, sort_keys=True, default=str) for jobs in runs.values() for job in jobs.values()
    }
    assert len(wanted) == len(runs) * len(study.seeds)
