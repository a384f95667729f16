"""Does a checkpoint folder hold all that a stranger needs: weights, code, image processor, labels?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from mlic_hf.hub.card_facts import names_of_labels, read_json
from mlic_hf.modeling import ARCHITECTURES, MultiLabelImageProcessor, MultiLabelModel

PLACEHOLDER = re.compile(r"LABEL_\d+$")


def check_checkpoint(folder: str | Path) -> MultiLabelModel:
    """Load a checkpoint folder as its users will, and look at what they would stumble over.

    Args:
        folder: holds config.json, model.safetensors, preprocessor_config.json and the model's code.

    Returns:
        the loaded model.

    Raises:
        FileNotFoundError: when there is no such folder or no config.
        ValueError: with every problem that was found, one after another.
    """
    folder = Path(folder)
    config = read_json(folder / "config.json")
    if not config:
        raise FileNotFoundError(f"{folder} has no config.json, so it is no checkpoint folder.")
    model_type = config.get("model_type")
    if model_type not in ARCHITECTURES:
        raise ValueError(
            f"{folder / 'config.json'} says model_type {model_type!r}; expected one of {', '.join(ARCHITECTURES)}."
        )
    problems = label_problems(config) + code_problems(folder, config)
    if read_json(folder / "run.json").get("finished") is False:
        problems.append("run.json says that training is not finished; run the training command again.")
    model, more = load_model(folder, ARCHITECTURES[model_type][1])
    problems += more
    if model is not None:
        problems += processor_problems(folder, model) or forward_problems(model)
    if model is None or problems:
        raise ValueError(f"{folder} is not ready for the Hub: {' '.join(problems)}")
    return model


def label_problems(config: dict[str, Any]) -> list[str]:
    names = names_of_labels(config)
    placeholders = [name for name in names if PLACEHOLDER.match(name)]
    if placeholders:
        return [f"{len(placeholders)} labels have no name ({placeholders[0]}, ...); set config.id2label."]
    if len(set(names)) != len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        return [f"label names repeat: {', '.join(repeated)}."]
    return []


def code_problems(folder: Path, config: dict[str, Any]) -> list[str]:
    """Code that the Auto classes are sent to but that is not in the folder."""
    auto_map = config.get("auto_map") or {}
    wanted = {"AutoConfig", "AutoModel", "AutoModelForImageClassification"}
    problems = []
    if missing := sorted(wanted - set(auto_map)):
        problems.append(f"config.json has no auto_map entry for {', '.join(missing)}; save the model again.")
    for target in sorted(set(auto_map.values())):
        module = str(target).split("--")[-1].split(".")[0]
        if not (folder / f"{module}.py").is_file():
            problems.append(f"{module}.py is missing beside config.json; save the model again.")
    return problems


def load_model(folder: Path, model_class: type[MultiLabelModel]) -> tuple[MultiLabelModel | None, list[str]]:
    """The model, and what was wrong with its weights."""
    if not any(folder.glob("model*.safetensors")):
        return None, ["there is no model.safetensors."]
    try:
        model, info = model_class.from_pretrained(folder, output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        return None, [f"the model does not load: {error}"]
    problems = []
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if keys := sorted(map(str, info.get(kind) or ())):
            problems.append(f"{len(keys)} {kind.replace('_', ' ')} in the weights, e.g. {keys[0]}.")
    if broken := broken_tensors(folder):
        problems.append(f"{len(broken)} tensors hold numbers that are not finite, e.g. {broken[0]}.")
    return model, problems


def broken_tensors(folder: Path) -> list[str]:
    """The tensors of a folder's files that hold NaN or infinity; read from the files, as quantised weights answer
    few questions in memory."""
    broken = []
    for file in sorted(folder.glob("model*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            broken += [name for name in tensors.keys() if not tensors.get_tensor(name).float().isfinite().all()]  # noqa: SIM118
    return broken


def processor_problems(folder: Path, model: MultiLabelModel) -> list[str]:
    """An image processor that is absent or prepares other pixels than the model expects."""
    if not (folder / "preprocessor_config.json").is_file():
        return ["there is no preprocessor_config.json; save the image processor beside the model."]
    found = MultiLabelImageProcessor.from_pretrained(folder)
    expected = MultiLabelImageProcessor.for_model(model)
    problems = []
    for name in ("image_size", "image_mean", "image_std", "interpolation"):
        if getattr(found, name) != getattr(expected, name):
            problems.append(
                f"preprocessor_config.json has {name} {getattr(found, name)}, the model {getattr(expected, name)}."
            )
    return problems


@torch.no_grad()
def forward_problems(model: MultiLabelModel) -> list[str]:
    """One grey image through the model."""
    side = model.config.image_size
    logits = model.eval()(torch.zeros(1, 3, side, side)).logits
    if logits.shape != (1, model.config.num_labels) or not torch.isfinite(logits).all():
        return [f"a grey image gives logits of shape {tuple(logits.shape)}, finite: {logits.isfinite().all()}."]
    return []
