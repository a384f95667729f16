"""Whole original models, at their real size, through the conversion that users call."""

from __future__ import annotations

import math
import zlib
from typing import Any

import pytest
import torch
from torch import Tensor

from mlic_hf.hub.convert import POSITION_CODE, build_converted, convert_state
from mlic_hf.modeling import modeling_query2label_mlic
from tests.golden.cases import load, params

# cheap enough for every run; the others are of real size
CHEAP = ("checkpoint_l2d_mobilenet_v2", "checkpoint_l2d_repvgg_a0")


def generator(name: str) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def fill(key: str, shape: list[int], salt: str) -> Tensor:
    """A weight as the golden folder's README says: drawn from the key's own generator."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.long)
    drawn = generator(salt + key)
    if key.endswith("running_var"):
        return torch.rand(shape, generator=drawn) + 0.5
    values = torch.randn(shape, generator=drawn)
    if len(shape) <= 1:
        return (1.0 if key.endswith("weight") else 0.0) + 0.1 * values
    return values / math.sqrt(math.prod(shape[1:]))


def filled(facts: dict[str, Any]) -> dict[str, Tensor]:
    return {key: fill(key, shape, facts["salt"]) for key, shape in facts["keys"].items()}


def slow_unless_cheap(case: Any) -> Any:
    name = case.values[0]
    if name.startswith(CHEAP) or name == "absent":
        return case
    return pytest.param(name, id=name, marks=pytest.mark.slow)


@pytest.mark.parametrize("name", [slow_unless_cheap(case) for case in params("checkpoint_")])
@torch.no_grad()
def test_converted_checkpoint_gives_the_originals_logits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, facts = load(name)
    drawn = generator(facts["salt"] + "image")
    image = torch.rand(2, 3, 96, 96, generator=drawn)
    fields: dict[str, Any] = {}
    if "word_vectors" in facts:
        fields["word_vectors"] = torch.randn(facts["num_classes"], 300, generator=drawn)
    if "gnn_steps" in facts:
        fields["graph_steps"] = facts["gnn_steps"]
    state = filled(facts)
    if POSITION_CODE in state:
        # the case fills the computed code as if it were a weight, so it is no sine code: put it in its place
        code = state.pop(POSITION_CODE)
        monkeypatch.setattr(modeling_query2label_mlic, "sine_position", lambda *size: code[0])
    labels = [f"label {number}" for number in range(tensors["logits"].shape[1])]
    model = build_converted(convert_state(state), labels, **fields)
    wanted_maps = "class_map_shape" in facts
    output = model(image, output_class_maps=wanted_maps)
    scale = tensors["logits"].abs().max()
    assert (output.logits - tensors["logits"]).abs().max() / scale < 1e-3
    if wanted_maps:
        assert list(output.class_maps.shape) == facts["class_map_shape"]
