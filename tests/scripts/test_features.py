"""Runs whose head alone is trained, on stored feature maps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageClassification

from mlic_hf.cli import cache as make_cache
from mlic_hf.cli.parsing import parse
from mlic_hf.metrics import multilabel_metrics
from mlic_hf.runs.data import load_data
from mlic_hf.runs.study import predict
from tests.scripts.folder import DECODER, FLAGS, start


def test_heads_share_the_maps_of_a_backbone_and_the_model_is_whole(folder: Path, tmp_path: Path) -> None:
    shared = ["--feature_views", "2", "--feature_folder", str(tmp_path / "maps"), "--transform", "mulcon_stage_one"]
    first = start("supervised", folder, tmp_path / "first", *shared)["student"]
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "maps").rglob("view_*.npy")}
    assert len(written) == 3  # two views of the training images, one of those for validation
    second = start("supervised", folder, tmp_path / "second", *shared, *DECODER)["student"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "maps").rglob("view_*.npy")} == written
    assert first["metrics"] != second["metrics"]
    models = [
        AutoModelForImageClassification.from_pretrained(tmp_path / name).state_dict() for name in ("first", "second")
    ]
    for name, weight in models[0].items():
        if name.startswith("backbone."):
            assert weight.equal(models[1][name])
    start("supervised", folder, tmp_path / "third", *shared, "--image_size", "48")
    assert len(list((tmp_path / "maps").rglob("view_*.npy"))) == 6  # another transform has maps of its own
    told = json.loads((tmp_path / "first/run.json").read_text())["settings"]
    assert told["feature_views"] == 2
    assert "feature_folder" not in told


FROZEN = [*DECODER, "--transform", "mulcon_stage_one", "--batch_norm", "frozen", "--num_train_epochs", "3"]
FROZEN += ["--ema_decay", "null"]


def losses(outcome: dict, names: tuple[str, ...] = ("loss", "loss_mld", "loss_class_aware")) -> list[float]:
    return [line[name] for line in outcome["student"]["log"] for name in names if name in line]


def test_a_student_on_stored_maps_learns_from_a_larger_teacher_what_it_learns_on_pixels(
    folder: Path, tmp_path: Path
) -> None:
    teacher, cache, maps = (tmp_path / name for name in ("teacher", "cache", "maps"))
    start("supervised", folder, teacher, *DECODER, "--image_size", "48")
    wishes = ["--views", "2", "--contents", "logits,label_embeddings", "--output_dir", str(cache)]
    make_cache.main(["--dataset", str(folder), *FLAGS, *FROZEN, "--teacher", str(teacher), *wishes])
    kept = ["--feature_views", "2", "--feature_folder", str(maps)]
    still = ["--lr_scales", '{"backbone": 0.0}']
    on_pixels = start("l2d", folder, tmp_path / "pixels", *FROZEN, *still, "--teacher_cache", str(cache))
    asked_now = start("l2d", folder, tmp_path / "asked", *FROZEN, *kept, "--teacher", str(teacher))
    looked_up = start("l2d", folder, tmp_path / "looked_up", *FROZEN, *kept, "--teacher_cache", str(cache))
    assert losses(asked_now) == pytest.approx(losses(on_pixels), rel=1e-2)
    assert losses(looked_up) == losses(asked_now)
    assert len(losses(asked_now)) == 9
    assert len(list(maps.glob("answers_*"))) == 1
    asked = {path: path.stat().st_mtime_ns for path in maps.rglob("view_*")}
    start("l2d", folder, tmp_path / "again", *FROZEN, *kept, "--teacher", str(teacher), "--l2d.weight_mld", "1")
    assert {path: path.stat().st_mtime_ns for path in maps.rglob("view_*")} == asked

    with pytest.raises(ValueError, match=r"feature_views is 3, but the teacher cache .* holds answers for 2: take"):
        start("l2d", folder, tmp_path / "more", *FROZEN, "--feature_views", "3", "--teacher_cache", str(cache))


def test_two_views_of_mulcon_are_two_of_the_kept_ones(folder: Path, tmp_path: Path) -> None:
    own = ["--architecture", "mulcon", "--model_options", '{"width": 16, "num_heads": 2, "projection_size": 8}']
    own += ["--transform", "mulcon_stage_one"]
    outcome = start("mulcon", folder, tmp_path / "run", *own, "--feature_views", "2")
    assert any("loss_contrast" in line for line in outcome["student"]["log"])
    with pytest.raises(ValueError, match=r"another of its draws, but views is 1: keep 2 or more"):
        start("mulcon", folder, tmp_path / "one", *own, "--feature_views", "1", "--mulcon.stage_one", '{"seed": 1}')


def test_who_has_to_see_the_pictures_wants_pixels(folder: Path, tmp_path: Path) -> None:
    start("supervised", folder, tmp_path / "teacher")
    taught = ["--teacher", str(tmp_path / "teacher"), "--l2d.weight_class_aware", "0", "--l2d.weight_review", "1"]
    with pytest.raises(ValueError, match=r"feature_views is 2, but review of l2d needs the pixels"):
        start("l2d", folder, tmp_path / "run", *taught, "--l2d.weight_instance_aware", "0", "--feature_views", "2")


def test_a_study_scores_runs_on_maps_by_maps(folder: Path, tmp_path: Path) -> None:
    kept = ["--feature_views", "2", "--feature_folder", str(tmp_path / "maps"), "--transform", "mulcon_stage_one"]
    told = start("supervised", folder, tmp_path / "run", *kept)["student"]
    flags = ["--dataset", str(folder), "--output_dir", str(tmp_path / "run"), *FLAGS, *kept]
    settings = parse("", "supervised", flags)
    data = load_data(settings.run)
    found = predict(str(tmp_path / "run"), settings, data, "validation")
    assert len(list((tmp_path / "maps").rglob("view_*.npy"))) == 3  # those of the training
    metrics = multilabel_metrics(found["scores"].numpy(), found["targets"].numpy())
    assert metrics["mAP"] == pytest.approx(told["metrics"]["eval_mAP"], abs=1e-9)
    on_pixels = predict(str(tmp_path / "run"), settings.but(feature_views=0), data, "validation")
    torch.testing.assert_close(found["scores"], on_pixels["scores"], rtol=0, atol=1e-3)  # of float16
