"""A published repository works where this package is not installed, for every architecture."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from mlic_hf.hub import push_model
from mlic_hf.modeling import ARCHITECTURES, MultiLabelImageProcessor, MultiLabelModel
from tests.hub.client import connected_hub
from tests.hub.loopback import client_environment
from tests.hub.tiny_models import LABELS, tiny_model

# forbid the package, then run the script as if it had been started
LAUNCH = (
    "import runpy, sys; sys.modules['mlic_hf'] = None; sys.argv = sys.argv[1:]; "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)
SCRIPT = Path(__file__).with_name("load_without_package.py")


def repo_of(model_type: str) -> str:
    return f"tester/{model_type.replace('_', '-')}"


@pytest.fixture(scope="module")
def models() -> dict[str, MultiLabelModel]:
    return {model_type: tiny_model(model_type) for model_type in ARCHITECTURES}


@pytest.fixture(scope="module")
def work(models: dict[str, MultiLabelModel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every architecture pushed to the loopback Hub, and loaded in one process without the package."""
    folder = tmp_path_factory.mktemp("elsewhere")
    save_file({"pixel_values": torch.rand(2, 3, 64, 64)}, folder / "inputs.safetensors")
    colours = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(colours).save(folder / "photo.jpg")
    with connected_hub() as (server, api):
        for model_type, model in models.items():
            push_model(model, repo_of(model_type), {"method": "supervised"}, api=api, wait=0)
        # -I: neither the working folder nor PYTHONPATH
        command = [sys.executable, "-I", "-c", LAUNCH, str(SCRIPT), str(folder), *map(repo_of, models)]
        environment = {**os.environ, **client_environment(server, folder / "home")}
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def told_of(work: Path, model_type: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    stem = repo_of(model_type).replace("/", "-")
    return json.loads((work / f"{stem}.json").read_text()), load_file(work / f"{stem}.safetensors")


@pytest.mark.parametrize("model_type", ARCHITECTURES)
@torch.no_grad()
def test_repository_loads_without_the_package(model_type: str, work: Path, models: dict[str, MultiLabelModel]) -> None:
    told, logits = told_of(work, model_type)
    config_class, model_class = ARCHITECTURES[model_type]
    model = models[model_type]
    assert (told["config"], told["model"]) == (config_class.__name__, model_class.__name__)
    assert told["base"] == model_class.__name__
    assert told["module"].startswith("transformers_modules.")
    assert told["thresholds"] == [0.25, 0.5, 0.75]
    expected = model(load_file(work / "inputs.safetensors")["pixel_values"]).logits
    for name in ("base", "model", "reloaded"):
        assert torch.equal(logits[name], expected), name
    processor = MultiLabelImageProcessor.for_model(model)
    photo = model(**processor(Image.open(work / "photo.jpg"), return_tensors="pt")).logits
    assert torch.equal(logits["photo"], photo)
    scores = dict(zip(LABELS, photo[0].sigmoid().tolist(), strict=True))
    assert told["tags"] == pytest.approx(scores, rel=1e-5)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_the_lines_of_the_card_run_and_use_the_tuned_thresholds(model_type: str, work: Path) -> None:
    told, logits = told_of(work, model_type)
    scores = dict(zip(LABELS, logits["photo"][0].sigmoid().tolist(), strict=True))
    assert {row["label"]: row["score"] for row in told["card"]["scores"]} == pytest.approx(scores, rel=1e-5)
    limits = dict(zip(LABELS, [0.25, 0.5, 0.75], strict=True))
    assert sorted(row["label"] for row in told["card"]["tags"]) == sorted(
        name for name in LABELS if scores[name] >= limits[name]
    )


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_saving_a_loaded_repository_again_keeps_its_code(model_type: str, work: Path) -> None:
    told, _ = told_of(work, model_type)
    stem = model_type.removeprefix("mlic_")
    wanted = {f"configuration_{stem}_mlic.py", f"modeling_{stem}_mlic.py", "base_mlic.py"}
    assert wanted <= set(told["code"])
    assert "image_processing_mlic.py" in told["code"]
