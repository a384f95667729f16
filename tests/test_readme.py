"""The Python of README.md runs as it stands there, after `make distill` (whose teacher is a smaller one here)."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_photographs_of_a_table_become_a_tagger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    from mlic_hf import LinearForImageClassification

    (tmp_path / "photos").mkdir()
    table = ["file,tags"]
    for number in range(20):
        Image.effect_noise((40, 30), 50).save(tmp_path / "photos" / f"{number}.png")
        tags = ('"sky, sea"', "sky", "")[number % 3]
        table.append(f"{number}.png,{tags}")
    (tmp_path / "photos.csv").write_text("\n".join(table), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    untrained = functools.partial(LinearForImageClassification.from_timm, pretrained=False, image_size=32)
    monkeypatch.setattr(LinearForImageClassification, "from_timm", untrained)  # no download in a test
    found: dict[str, Any] = {}
    exec(PROGRAMS[0], found)
    assert found["tagger"].config.id2label == {0: "sea", 1: "sky"}
    assert found["trainer"].state.global_step == 5
    assert found["trainer"].state.log_history[-2]["eval_mAP"] > 0


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    import dataset_builders
    from mlic_hf import MLDecoderForImageClassification

    sizes = {"train_images": 24, "validation_images": 8, "test_images": 8}
    small = functools.partial(dataset_builders.load_splits, **sizes)
    labels = small("digit_scenes")["train"].features["labels"].feature.names
    teacher = MLDecoderForImageClassification.from_timm("test_resnet", labels[::-1], pretrained=False, image_size=64)
    teacher.save_pretrained(tmp_path / "runs" / "digit_scenes_l2d" / "teacher")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dataset_builders, "load_splits", small)
    assert len(PROGRAMS) == 3
    found: dict[str, Any] = {}
    for program in PROGRAMS[1:]:
        exec(program, found)
    assert found["trainer"].state.global_step == 10
    assert {entry["label"] for entry in found["tagger"](found["ds"]["test"][0]["image"])} == set(labels)


def test_every_page_the_readme_names_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
