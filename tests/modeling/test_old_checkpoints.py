"""Checkpoints that earlier versions wrote load and answer as they did: configs, tensor names and logits of then."""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForImageClassification

import mlic_hf  # noqa: F401

OLD = {
    f"{path.stem}-{kind}": told
    for path in sorted((Path(__file__).parent / "old").glob("*.json"))
    for kind, told in json.loads(path.read_text(encoding="utf-8")).items()
}


def fill(key: str, shape: list[int]) -> Tensor:
    """A weight drawn from its name, as when the logits were written down."""
    drawn = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.long)
    if key.endswith("running_var"):
        return torch.rand(shape, generator=drawn) + 0.5
    values = torch.randn(shape, generator=drawn)
    if len(shape) <= 1:
        return (1.0 if key.endswith("weight") else 0.0) + 0.1 * values
    return values / math.sqrt(math.prod(shape[1:]))


@pytest.mark.parametrize("name", OLD)
@torch.no_grad()
def test_an_old_checkpoint_answers_as_it_did(name: str, tmp_path: Path) -> None:
    told: dict[str, Any] = OLD[name]
    (tmp_path / "config.json").write_text(json.dumps(told["config"]), encoding="utf-8")
    tensors = {key: fill(key, shape) for key, shape in told["keys"].items()}
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    model, loading = AutoModelForImageClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.eval()(pixels).logits, torch.tensor(told["logits"]), rtol=1e-4, atol=1e-5)
