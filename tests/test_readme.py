"""The Python of README.md runs as it stands there, after `make distill` (whose teacher is a smaller one here)."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


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
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(programs) == 2
    found: dict[str, Any] = {}
    for program in programs:
        exec(program, found)
    assert found["trainer"].state.global_step == 10
    assert {entry["label"] for entry in found["tagger"](found["ds"]["test"][0]["image"])} == set(labels)


def test_every_page_the_readme_names_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
