"""Runs whose head alone is trained, on stored feature maps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoModelForImageClassification

from tests.scripts.folder import DECODER, start


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


def test_a_method_with_a_teacher_wants_pixels(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"feature_views is 2, but class_aware, .* of l2d needs the pixels"):
        start("l2d", folder, tmp_path / "run", *DECODER, "--feature_views", "2")
