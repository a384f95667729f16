"""Run alone, with the loopback server as the Hub: a model of each head is published, loaded, fine-tuned to other
labels, adapted with LoRA and quantised, and published after each step.

Arguments: a work folder. Writes logits.safetensors and told.json there; the pictures are in inputs.safetensors.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModelForImageClassification, TorchAoConfig

from mlic_hf.hub import push_model
from mlic_hf.modeling import ARCHITECTURES
from tests.hub.tiny_models import FIELDS, LABELS, tiny_model

#: one that stays, two that are new, in another order
OTHER_LABELS = ["horse", LABELS[2], "tree", LABELS[0]]
STEPS = 12
load = AutoModelForImageClassification.from_pretrained


def repo_of(model_type: str, stage: str) -> str:
    return f"tester/{model_type.replace('_', '-')}-{stage}"


def fit(model: nn.Module, pixels: Tensor) -> tuple[float, float]:
    """The loss before and after a few steps on wishes that only the labels' places tell apart."""
    torch.manual_seed(1)
    wishes = torch.eye(len(OTHER_LABELS))[: len(pixels)]
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    with torch.no_grad():
        before = model.eval()(pixels, labels=wishes).loss.item()
    model.train()
    for _ in range(STEPS):
        optimizer.zero_grad()
        model(pixels, labels=wishes).loss.backward()
        optimizer.step()
    with torch.no_grad():
        return before, model.eval()(pixels, labels=wishes).loss.item()


@torch.no_grad()
def logits(model: nn.Module, pixels: Tensor) -> Tensor:
    return model.eval()(pixels).logits.contiguous()


def live(model_type: str, pixels: Tensor) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What was told and computed on the way of one head's model."""
    # here, so that the test can be collected without them
    import peft
    from torchao.quantization import Int8WeightOnlyConfig

    told: dict[str, Any] = {}
    found: dict[str, Tensor] = {}

    def publish(model: Any, stage: str, method: str | None = None) -> str:
        push_model(model, repo_of(model_type, stage), {"method": method}, wait=0)
        found[stage] = logits(model, pixels)
        return repo_of(model_type, stage)

    first = publish(tiny_model(model_type), "first", "supervised")
    vectors = {"word_vectors": torch.randn(4, 5)} if "label_vector_size" in FIELDS[model_type] else {}
    # an adapter's folder holds no running statistics, so they must not move from here on
    tuned = load(first, labels=OTHER_LABELS, freeze_batch_norm=True, **vectors)
    told["thresholds"] = tuned.config.thresholds
    told["losses"] = fit(tuned, pixels)
    second = publish(tuned, "tuned")

    adapted = peft.get_peft_model(load(second), peft.LoraConfig(target_modules="all-linear", r=4))
    told["adapter_losses"] = fit(adapted, pixels)
    found["adapted"] = logits(adapted, pixels)
    third = publish(adapted.merge_and_unload(), "merged")

    small = load(third, quantization_config=TorchAoConfig(Int8WeightOnlyConfig()))
    fourth = publish(small, "quantised")
    again = load(fourth)
    found["again"] = logits(again, pixels)
    told["labels"] = again.label_names
    told["linears"] = sorted({type(m.weight.data).__name__ for m in again.modules() if isinstance(m, nn.Linear)})
    return told, found


def main(work: Path) -> None:
    pixels = load_file(work / "inputs.safetensors")["pixel_values"]
    lives = {model_type: live(model_type, pixels) for model_type in ARCHITECTURES}
    (work / "told.json").write_text(json.dumps({name: told for name, (told, _) in lives.items()}))
    save_file({f"{name}.{stage}": t for name, (_, found) in lives.items() for stage, t in found.items()},
              work / "logits.safetensors")  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
