"""Run alone, where mlic_hf cannot be imported: load every repository from the Hub, compute, save again, reload.

Arguments: a work folder with inputs.safetensors and photo.jpg; then repository ids. Writes <repository>.safetensors
with the logits and <repository>.json with what was loaded.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification, pipeline


def card_of(repo: str) -> str:
    return Path(hf_hub_download(repo, "README.md")).read_text(encoding="utf-8")


@torch.no_grad()
def load_and_compute(repo: str, work: Path) -> None:
    trust = {"trust_remote_code": True}
    pixels = load_file(work / "inputs.safetensors")["pixel_values"]
    photo = Image.open(work / "photo.jpg")
    config = AutoConfig.from_pretrained(repo, **trust)
    processor = AutoImageProcessor.from_pretrained(repo, **trust)
    base = AutoModel.from_pretrained(repo, **trust)
    model = AutoModelForImageClassification.from_pretrained(repo, **trust)
    again = work / f"{repo.replace('/', '-')}-again"
    model.save_pretrained(again)
    processor.save_pretrained(again)
    reloaded = AutoModelForImageClassification.from_pretrained(again, **trust)
    tagger = pipeline("image-classification", model=repo, **trust)
    logits = {
        "base": base(pixels).logits,
        "model": model(pixels).logits,
        "reloaded": reloaded(pixels).logits,
        "photo": model(**processor(photo, return_tensors="pt")).logits,
    }
    # what the card tells people to write, as it stands there
    told_to: dict = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", card_of(repo), re.DOTALL)), told_to)
    tensors = {name: tensor.contiguous() for name, tensor in logits.items()}
    save_file(tensors, work / f"{repo.replace('/', '-')}.safetensors")
    told = {
        "config": type(config).__name__,
        "model": type(model).__name__,
        "base": type(base).__name__,
        "module": type(model).__module__,
        "code": sorted(path.name for path in again.glob("*.py")),
        "thresholds": model.config.thresholds,
        "tags": {row["label"]: row["score"] for row in tagger(photo)},
        "card": {"scores": told_to["scores"], "tags": told_to["tags"]},
    }
    (work / f"{repo.replace('/', '-')}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    assert sys.modules["mlic_hf"] is None, "started by the test, which forbids the package first"
    for name in sys.argv[2:]:
        load_and_compute(name, Path(sys.argv[1]))
