"""Checkpoints that earlier versions wrote load and answer as they did: configs, tensor names and logits of then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForImageClassification

import mlic_hf  # noqa: F401
from tests.golden.test_checkpoints import fill

OLD = {
    f"{path.stem}-{kind}": told
    for path in sorted((Path(__file__).parent / "old").glob("*.json"))
    for kind, told in json.loads(path.read_text(encoding="utf-8")).items()
}


@pytest.mark.parametrize("name", OLD)
@torch.no_grad()
def test_an_old_checkpoint_answers_as_it_did(name: str, tmp_path: Path) -> None:
    told: dict[str, Any] = OLD[name]
    (tmp_path / "config.json").write_text(json.dumps(told["config"]), encoding="utf-8")
    tensors = {key: fill(key, shape, salt="") for key, shape in told["keys"].items()}
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    model, loading = AutoModelForImageClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.eval()(pixels).logits, torch.tensor(told["logits"]), rtol=1e-4, atol=1e-5)
