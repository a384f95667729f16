"""A model of each head: published, loaded, fine-tuned to other labels, adapted, quantised, published again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mlic_hf.modeling import ARCHITECTURES
from tests.hub.client import connected_hub
from tests.hub.loopback import client_environment
from tests.hub.whole_life import OTHER_LABELS, repo_of

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
# what a stranger runs, who does not have the package
STRANGER = """
import sys

sys.modules["mlic_hf"] = None  # it cannot be imported
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageClassification

work, *repositories = sys.argv[1:]
pixels = load_file(f"{work}/inputs.safetensors")["pixel_values"]
found = {}
for repository in repositories:
    model = AutoModelForImageClassification.from_pretrained(repository, trust_remote_code=True)
    with torch.no_grad():
        found[repository] = model(pixels).logits.contiguous()
        thresholds = torch.tensor(model.config.thresholds)
    found[f"{repository} thresholds"] = thresholds
save_file(found, f"{work}/stranger.safetensors")
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every head's life in one process, and in another, without the package, what a stranger makes of its end."""
    for needed in ("peft", "torchao"):
        pytest.importorskip(needed, reason=f"needs {needed}")
    folder = tmp_path_factory.mktemp("lives")
    save_file({"pixel_values": torch.rand(3, 3, 64, 64)}, folder / "inputs.safetensors")
    with connected_hub() as (server, _):
        environment = {**os.environ, **client_environment(server, folder / "home"), "PYTHONPATH": str(ROOT)}
        ends = [repo_of(model_type, "quantised") for model_type in ARCHITECTURES]
        for command, place in (
            ([sys.executable, "-m", "tests.hub.whole_life", str(folder)], ROOT),
            ([sys.executable, "-I", "-c", STRANGER, str(folder), *ends], folder),
        ):
            done = subprocess.run(
                command, cwd=place, env=environment, capture_output=True, text=True, timeout=900, check=False
            )
            assert done.returncode == 0, done.stderr[-4000:]
        cards = {repo: commits[-1][1]["README.md"].decode() for repo, commits in server.repos.items()}
        (folder / "cards.json").write_text(json.dumps(cards))
    return folder


@pytest.fixture(params=ARCHITECTURES)
def life(request: pytest.FixtureRequest, work: Path) -> tuple[str, dict[str, Any], dict[str, torch.Tensor]]:
    name = request.param
    logits = load_file(work / "logits.safetensors")
    return (
        name,
        json.loads((work / "told.json").read_text())[name],
        {key.removeprefix(f"{name}."): tensor for key, tensor in logits.items() if key.startswith(f"{name}.")},
    )


def test_it_learns_other_labels_and_keeps_what_it_knew_of_one(life: Any) -> None:
    _, told, _ = life
    assert told["labels"] == OTHER_LABELS
    assert told["thresholds"] == [0.5, 0.75, 0.5, 0.25]
    assert told["losses"][1] < 0.9 * told["losses"][0]


def test_its_adapter_learns_and_is_merged(life: Any) -> None:
    _, told, logits = life
    assert told["adapter_losses"][1] < told["adapter_losses"][0]
    assert (logits["adapted"] - logits["tuned"]).abs().max() > 0.01
    torch.testing.assert_close(logits["merged"], logits["adapted"], rtol=1e-3, atol=1e-4)


def test_quantised_it_is_close_and_comes_back_as_it_was(life: Any) -> None:
    _, told, logits = life
    assert told["linears"] == ["Int8Tensor"]
    assert (logits["quantised"].sigmoid() - logits["merged"].sigmoid()).abs().max() < 0.02
    assert torch.equal(logits["again"], logits["quantised"])


def test_a_stranger_loads_its_end(life: Any, work: Path) -> None:
    name, _, logits = life
    found = load_file(work / "stranger.safetensors")
    assert torch.equal(found[repo_of(name, "quantised")], logits["quantised"])
    assert found[f"{repo_of(name, 'quantised')} thresholds"].tolist() == [0.5, 0.75, 0.5, 0.25]


def test_its_card_says_what_it_needs(life: Any, work: Path) -> None:
    cards = json.loads((work / "cards.json").read_text())
    card = cards[repo_of(life[0], "quantised")]
    assert "- **Quantised with:** torchao\n" in card
    assert '"torchao>=' in card
    assert "torchao" not in cards[repo_of(life[0], "merged")]
    assert "of 4 labels" in card
