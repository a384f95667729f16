"""A published model on an encoder of transformers works where this package is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from mlic_hf.hub import push_model
from mlic_hf.modeling import ARCHITECTURES, MultiLabelModel
from tests.hub.client import connected_hub
from tests.hub.loopback import client_environment
from tests.hub.test_remote_code import LAUNCH, SCRIPT
from tests.modeling.families import FAMILIES, FAST, tiny_on

# slow: every family, the architectures in turn, and every architecture on the fast families
FEW = [("mlic_linear", FAST[0]), ("mlic_ml_decoder", FAST[1])]
IN_TURN = zip(list(ARCHITECTURES) * 3, FAMILIES, strict=False)
ALL = sorted({*IN_TURN, *((model_type, family) for model_type in ARCHITECTURES for family in FAST)})


@pytest.mark.parametrize("pairs", [FEW, pytest.param(ALL, marks=pytest.mark.slow)], ids=["few", "all"])
@torch.no_grad()
def test_repositories_load_without_the_package(pairs: list[tuple[str, str]], tmp_path: Path) -> None:
    models: dict[str, MultiLabelModel] = {}
    for model_type, family in pairs:
        name = f"tester/{model_type}-{family}".replace("_", "-")
        models[name] = tiny_on(model_type, family, thresholds=[0.1, 0.2, 0.3, 0.4, 0.5])
    pixels = torch.rand(2, 3, 64, 64)
    save_file({"pixel_values": pixels}, tmp_path / "inputs.safetensors")
    Image.new("RGB", (50, 70), (200, 30, 90)).save(tmp_path / "photo.jpg")
    with connected_hub() as (server, api):
        for name, model in models.items():
            push_model(model, name, {"method": "supervised"}, api=api, wait=0)
        command = [sys.executable, "-I", "-c", LAUNCH, str(SCRIPT), str(tmp_path), *models]
        environment = {**os.environ, **client_environment(server, tmp_path / "home")}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=800, check=False
        )
    assert done.returncode == 0, done.stderr[-4000:]
    for name, model in models.items():
        stem = name.replace("/", "-")
        logits, told = load_file(tmp_path / f"{stem}.safetensors"), json.loads((tmp_path / f"{stem}.json").read_text())
        expected = model(pixels).logits
        for loaded in ("base", "model", "reloaded"):
            assert torch.equal(logits[loaded], expected), (name, loaded)
        assert told["module"].startswith("transformers_modules.")
        assert {"transformers_backbone_mlic.py", "vision_encoder_mlic.py"} <= set(told["code"])


def test_the_card_names_the_library(tmp_path: Path) -> None:
    from mlic_hf.hub import save_model

    save_model(tiny_on("mlic_linear", "resnet"), tmp_path, {"method": "supervised"})
    assert "**Backbone:** `resnet` of transformers" in (tmp_path / "README.md").read_text()
