"""`mlic cache`, and a student distilled from what it wrote, on a machine without the teacher."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from mlic_hf.cli import cache as verb
from mlic_hf.cli import run_verb
from mlic_hf.cli.parsing import parse
from mlic_hf.methods.teacher_cache import CachedTeacher
from mlic_hf.methods.teacher_cache.manifest import load_manifest
from mlic_hf.methods.teacher_cache.shards import read_shard
from mlic_hf.runs.fit import sole_writer
from mlic_hf.runs.study import jobs_of, read_study
from tests.distributed.launch import launch
from tests.scripts.folder import DECODER, FLAGS, start

# "psd" as published draws cutout and RandAugment; the folder's other flags show all images plain
DRAWN = ["--transform", "l2d"]
L2D = ["--l2d.weight_mld", "1", "--save_strategy", "no", "--load_best_model_at_end", "false", "--ema_decay", "null"]


def flags_of(folder: Path, teacher: Path) -> list[str]:
    return ["--dataset", str(folder), *FLAGS, *DECODER, *DRAWN, "--teacher", str(teacher)]


def test_a_student_is_distilled_where_there_is_no_teacher(
    distilled: tuple, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = tmp_path / "teacher"
    shutil.copytree(distilled[0] / "teacher", teacher)
    kept = tmp_path / "cache"
    wishes = ["--views", "all", "--contents", "logits,label_embeddings", "--dtype", "float32"]
    asked = [*flags_of(folder, teacher), *wishes, "--output_dir", str(kept), "--num_train_epochs", "2"]
    verb.main([*asked, "--dry_run", "true"])
    told = capsys.readouterr().out
    assert "24 images, 2 views, float32" in told
    assert "label_embeddings" in told
    assert not kept.exists()
    verb.main(asked)
    assert "48 answers in" in capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in kept.iterdir() if path.name != ".lock"}
    verb.main(asked)
    assert "0 answers in" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in before} == before

    more = [*DECODER, *DRAWN, *L2D, "--num_train_epochs", "2"]
    uncached = start("l2d", folder, tmp_path / "uncached", *more, "--teacher", str(teacher))
    shutil.rmtree(teacher)
    cached = start("l2d", folder, tmp_path / "cached", *more, "--teacher_cache", str(kept))
    assert set(cached) == {"student"}
    losses = [[line["loss"] for line in outcome["student"]["log"] if "loss" in line] for outcome in (cached, uncached)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert cached["student"]["settings"]["teacher_cache"] == "../../cache"


def test_what_cannot_be_is_said(
    distilled: tuple, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher, kept = distilled[0] / "teacher", tmp_path / "cache"
    asked = [*flags_of(folder, teacher), "--output_dir", str(kept)]
    with sole_writer(kept), pytest.raises(ValueError, match="Another run is writing into"):
        verb.main(asked)
    verb.main(asked)
    for wrong, sentence in (
        (["--views", "many"], "--views is 'many'; a number was expected, or all"),
        (["--views", "2"], "the number of views (1, not 2)"),
        (["--seed", "7"], "the seed of the draws (42, not 7)"),
        (["--transform", "mulcon_stage_two"], "the transform ("),
        (["--teacher", str(distilled[0] / "student")], "the teacher ("),
        (["--teacher", "null"], "Nobody is asked: name the model (`teacher`)"),
    ):
        with pytest.raises(SystemExit):
            run_verb("cache", [*asked, *wrong])
        assert sentence in capsys.readouterr().err
    other = str(distilled[0] / "student")
    for number, (wrong, sentence) in enumerate(
        (
            (["--teacher", other], r"keeps the answers of another teacher \(teacher, "),
            (["--transform", "mulcon_stage_two"], "was made of images under another transform"),
            (["--data_seed", "7"], "draws from the seed 42, and here it is 7"),
            (["--l2d.weight_class_aware", "1"], "but the teacher .CachedTeacher. has none"),
        )
    ):
        without = ["--l2d.weight_class_aware", "0", "--l2d.weight_instance_aware", "0"]
        given = [*DECODER, *DRAWN, *L2D, *without, "--teacher_cache", str(kept), *wrong]
        with pytest.raises(ValueError, match=sentence):
            start("l2d", folder, tmp_path / f"student_{number}", *given)
    with pytest.raises(FileNotFoundError, match="so it is no teacher cache; `mlic cache` makes one"):
        start("l2d", folder, tmp_path / "student", *DECODER, "--teacher_cache", str(tmp_path / "nowhere"))


def test_psds_parts_teach_from_disk(folder: Path, tmp_path: Path) -> None:
    parts = ["--psd.parts", "2", "--psd.kinds", '["random"]', "--psd.jobs", "2"]
    start("psd", folder, tmp_path / "psd", *parts)
    teachers = tmp_path / "psd" / "teachers"
    kept = tmp_path / "cache"
    given = ["--method", "psd", "--dataset", str(folder), *FLAGS, *parts, "--teachers", str(teachers)]
    verb.main([*given, "--dtype", "float32", "--output_dir", str(kept)])
    assert CachedTeacher(kept).kinds == ("random",)
    shutil.rmtree(teachers)
    cached = start("psd", folder, tmp_path / "cached", *parts, "--teacher_cache", str(kept))
    uncached = json.loads((tmp_path / "psd" / "student" / "run.json").read_text())
    losses = [[line["loss"] for line in log if "loss" in line] for log in (cached["student"]["log"], uncached["log"])]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def _fill(arguments: list[str]) -> None:
    # shards of 4 images, so that two processes have some each
    from mlic_hf.runs import teacher_cache

    plan = teacher_cache.plan_cache
    teacher_cache.plan_cache = lambda *given, **wishes: plan(*given, **wishes, images_per_shard=4)
    verb.main(arguments)


def test_two_processes_share_the_shards(distilled: tuple, folder: Path, tmp_path: Path) -> None:
    asked = [*flags_of(folder, distilled[0] / "teacher"), "--views", "2", "--dtype", "float32"]
    asked += ["--per_device_eval_batch_size", "4"]
    for processes in (1, 2):
        launch(_fill, ([*asked, "--output_dir", str(tmp_path / str(processes))],), processes)
    manifest, _ = load_manifest(tmp_path / "1")
    assert len(manifest.shards) == 12
    for place in manifest.shards:
        one, two = (read_shard(tmp_path / name, manifest, *place) for name in ("1", "2"))
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_taggers_table_teaches_with_a_folder_of_photographs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "pictures"
    for place, picture in enumerate(sorted((folder / "validation").glob("*.png"))[:5]):
        (pictures / "more").mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, pictures / "more" / f"{place}.png")
    lines = (folder / "train" / "metadata.jsonl").read_text().splitlines()
    names = [f"train/{json.loads(line)['file_name']}" for line in lines] + [f"more/{place}.png" for place in range(5)]
    table = tmp_path / "tags.csv"
    table.write_text("image_id,cat,dog\n" + "".join(f"{name},0.75,\n" for name in names))
    flags = [*DECODER, "--unlabelled", str(pictures), "--unlabelled_ratio", "0.5"]
    given = ["--dataset", str(folder), *FLAGS, *flags, "--answers", str(table), "--answers_are", "probabilities"]
    verb.main([*given, "--output_dir", str(tmp_path / "cache")])
    assert "29 images, 2 of 5 labels" in capsys.readouterr().out
    without = ["--l2d.weight_class_aware", "0", "--l2d.weight_instance_aware", "0"]
    outcome = start("l2d", folder, tmp_path / "run", *flags, *without, "--teacher_cache", str(tmp_path / "cache"))
    assert outcome["student"]["steps"] == 5  # 24 labelled and 12 unlabelled images in batches of 8
    assert outcome["student"]["settings"]["unlabelled"] == "../../pictures"
    again = [*DECODER, *without, "--teacher_cache", str(tmp_path / "cache"), "--unlabelled"]
    with pytest.raises(ValueError, match="it is a folder of pictures, or split:NAME"):
        start("l2d", folder, tmp_path / "nowhere", *again, "x")
    with pytest.raises(ValueError, match="24 images are both labelled and unlabelled"):
        start("l2d", folder, tmp_path / "twice", *again, "split:train")


def test_the_study_of_views_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    study = read_study("benchmarks/studies/teacher_cache.yaml")
    settings = parse("", "supervised", ["--config", study.recipe, "--output_dir", str(tmp_path)])
    _, runs = jobs_of(study, settings)
    assert {seed for jobs in runs.values() for seed in jobs} == {42, 43, 44}
    assert all(job.settings.training.data_seed == 42 for jobs in runs.values() for job in jobs.values())
