"""Whatever a repository holds: without `trust_remote_code` none of its code runs, none of its pickles is opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    pipeline,
)

from mlic_hf.hub import check_checkpoint, save_model
from mlic_hf.modeling import LinearForImageClassification
from tests.hub.tiny_models import tiny_model

TASK = "multi-label-image-classification"
LOADERS: dict[str, Callable[[Path], Any]] = {
    "config": AutoConfig.from_pretrained,
    "processor": AutoImageProcessor.from_pretrained,
    "base": AutoModel.from_pretrained,
    "model": AutoModelForImageClassification.from_pretrained,
    "own class": LinearForImageClassification.from_pretrained,
    "pipeline": lambda folder: pipeline("image-classification", model=str(folder)),
    "own pipeline": lambda folder: pipeline(TASK, model=str(folder)),
    "check": check_checkpoint,
    "backbone": lambda folder: LinearForImageClassification.from_backbone(str(folder), ["a"]),
}


class Trap:
    """A pickle that leaves a trace when it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.touch, (self.trace,)


def edit(folder: Path, name: str, **changes: Any) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, **changes}))


def code_of_somebody_else(folder: Path, trace: Path) -> None:
    """Every file of code leaves a trace; all names lead to it."""
    for file in folder.glob("*.py"):
        file.write_text(f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n")


def another_type(folder: Path, trace: Path) -> None:
    code_of_somebody_else(folder, trace)
    edit(folder, "config.json", model_type="mlic_trap")


def another_backbone_type(folder: Path, trace: Path) -> None:
    code_of_somebody_else(folder, trace)
    names = {"AutoConfig": "base_mlic.Trap", "AutoModel": "base_mlic.Trap"}
    edit(folder, "config.json", backbone_config={"model_type": "trap", "auto_map": names})


def another_processor(folder: Path, trace: Path) -> None:
    code_of_somebody_else(folder, trace)
    edit(
        folder, "preprocessor_config.json", image_processor_type="Trap", auto_map={"AutoImageProcessor": "base_mlic.T"}
    )


def another_pipeline(folder: Path, trace: Path) -> None:
    code_of_somebody_else(folder, trace)
    impl = {"impl": "base_mlic.Trap", "pt": ["AutoModelForImageClassification"]}
    edit(folder, "config.json", custom_pipelines={TASK: impl, "image-classification": impl})


def code_of_another_repository(folder: Path, trace: Path) -> None:
    code_of_somebody_else(folder, trace)
    names = ("AutoConfig", "AutoModel", "AutoModelForImageClassification")
    edit(folder, "config.json", auto_map=dict.fromkeys(names, f"{folder}--base_mlic.Trap"))


def pickled_weights(folder: Path, trace: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"head.classifier.weight": Trap(trace)}, folder / "pytorch_model.bin")


def pickled_weights_under_a_safe_name(folder: Path, trace: Path) -> None:
    torch.save({"head.classifier.weight": Trap(trace)}, folder / "model.safetensors")


def timm_from_the_hub(folder: Path, trace: Path) -> None:
    edit(folder, "config.json", backbone="hf-hub:trap/network")


def timm_from_a_folder(folder: Path, trace: Path) -> None:
    edit(folder, "config.json", backbone=f"local-dir:{folder}", architecture="resnet18")
    torch.save({"conv1.weight": Trap(trace)}, folder / "pytorch_model.bin")


def a_quantiser_of_its_own(folder: Path, trace: Path) -> None:
    code_of_somebody_else(folder, trace)
    asked = {"default": {"_type": "Trap", "_version": 1, "_data": {}}}
    edit(folder, "config.json", quantization_config={"quant_method": "torchao", "quant_type": asked})


def an_adapter_of_its_own(folder: Path, trace: Path) -> None:
    code_of_somebody_else(folder, trace)
    told = {"peft_type": "LORA", "base_model_name_or_path": str(folder), "target_modules": ["classifier"], "r": 2}
    told["auto_mapping"] = {"base_model_class": "Trap", "parent_library": "base_mlic"}
    (folder / "adapter_config.json").write_text(json.dumps(told))
    torch.save({"lora": Trap(trace)}, folder / "adapter_model.bin")


TRAPS = (
    *(code_of_somebody_else, another_type, another_backbone_type, another_processor, another_pipeline),
    *(code_of_another_repository, pickled_weights, pickled_weights_under_a_safe_name, timm_from_the_hub),
    *(timm_from_a_folder, a_quantiser_of_its_own, an_adapter_of_its_own),
)


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.__name__)
def test_nothing_of_it_runs(trap: Callable[[Path, Path], None], loader: str, tmp_path: Path) -> None:
    folder, trace = tmp_path / "model", tmp_path / "trace"
    save_model(tiny_model("mlic_linear"), folder)
    trap(folder, trace)
    with suppress(Exception):  # a refusal, whichever: what counts is that nothing ran
        LOADERS[loader](folder)
    assert not trace.exists()


def test_the_traps_would_be_seen(tmp_path: Path) -> None:
    folder, trace = tmp_path / "model", tmp_path / "trace"
    save_model(tiny_model("mlic_linear"), folder)
    code_of_another_repository(folder, trace)
    edit(folder, "config.json", model_type="mlic_trap")
    with pytest.raises(Exception, match="Trap"):
        AutoConfig.from_pretrained(folder, trust_remote_code=True)
    assert trace.exists()
    trace.unlink()
    pickled_weights(folder, trace)
    torch.load(folder / "pytorch_model.bin", weights_only=False)
    assert trace.exists()


def test_weights_of_a_backbone_are_weights_alone(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Trap(tmp_path / "trace")}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"weights\.pth could not be read as weights alone") as told:
        LinearForImageClassification.from_timm("test_resnet", ["a"], pretrained=tmp_path / "weights.pth")
    assert "weights_only" not in str(told.value)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("loader", ["model", "own class", "check", "processor"])
def test_ours_still_load_beside_code_of_somebody_else(loader: str, tmp_path: Path) -> None:
    save_model(tiny_model("mlic_linear"), tmp_path)
    code_of_somebody_else(tmp_path, tmp_path / "trace")
    assert type(LOADERS[loader](tmp_path)).__module__.startswith("mlic_hf.modeling.")
