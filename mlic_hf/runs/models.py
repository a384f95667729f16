"""From the settings to the models of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from mlic_hf import modeling
from mlic_hf.methods.teacher import Teacher, list_labels
from mlic_hf.runs.options import ARCHITECTURES, RunOptions

MODEL = "model.safetensors"
PROJECTOR = "head.projector."


def build_model(run: RunOptions, labels: Sequence[str]) -> Any:
    """A new student: its architecture on its backbone, with the weights that `pretrained` and `init_from` name."""
    pretrained: bool | str = {"true": True, "false": False}.get(run.pretrained.lower(), run.pretrained)
    # what the training transforms do, and so what the saved image processor has to do
    options = {"interpolation": "bilinear"} | run.model_options
    if run.normalization == "none":
        options |= {"image_mean": [0.0, 0.0, 0.0], "image_std": [1.0, 1.0, 1.0]}
    model = getattr(modeling, ARCHITECTURES[run.architecture]).from_backbone(
        run.backbone,
        list(labels),
        pretrained=pretrained if run.init_from is None else False,
        image_size=run.image_size,
        **options,
    )
    if run.init_from is not None:
        start_from(model, Path(run.init_from))
    return model


def start_from(model: Any, folder: Path) -> None:
    """Load a saved model's averaged weights (its plain ones without an average) into a new one, but the projector.

    MulCon's second stage begins so; its projector is made anew, as published.

    Raises:
        FileNotFoundError: if there is no model.
        ValueError: naming the parameters or labels that do not fit.
    """
    averaged = folder / "ema" if (folder / "ema" / MODEL).is_file() else folder
    if not (averaged / MODEL).is_file():
        raise FileNotFoundError(f"init_from is {folder}, but there is no {MODEL} in it.")
    config = type(model.config).from_pretrained(averaged)
    names = [config.id2label[i] for i in range(config.num_labels)]
    if names != list_labels(model):
        raise ValueError(
            f"init_from is {folder}, whose labels are not those of the data in their order: {names[:5]}..."
        )
    stored = model.own_names(load_file(averaged / MODEL))
    saved = {name: value for name, value in stored.items() if not name.startswith(PROJECTOR)}
    own = {name: value for name, value in model.state_dict().items() if not name.startswith(PROJECTOR)}
    wrong = sorted(set(saved) ^ set(own))
    wrong += sorted(name for name in set(saved) & set(own) if saved[name].shape != own[name].shape)
    if wrong:
        raise ValueError(
            f"init_from is {folder}, whose parameters do not fit {type(model).__name__} on "
            f"{model.config.backbone}: {', '.join(wrong[:5])}. Start from a model of the same settings."
        )
    model.load_state_dict(saved, strict=False)


def load_saved(folder: str, what: str) -> Any:
    """A model that this library saved, every weight of which was found and is finite.

    Raises:
        ValueError: if the folder is not there, holds another kind of model, or if tensors are missing, of another
            shape, not of this model, or hold NaN or infinity; names them.
    """
    from transformers import AutoConfig, AutoModelForImageClassification

    path = Path(folder)
    if not path.is_dir() and not re.fullmatch(r"[\w.-]+/[\w.-]+", folder):
        raise ValueError(f"The {what} {folder} is neither a folder nor a Hub repository (owner/name).")
    if path.is_dir() and not (path / "config.json").is_file():
        raise ValueError(f"The {what} folder {folder} has no config.json: it holds no saved model.")
    try:
        config = AutoConfig.from_pretrained(folder)
        model, info = AutoModelForImageClassification.from_pretrained(
            folder, output_loading_info=True, ignore_mismatched_sizes=True
        )
    except SafetensorError as error:
        raise ValueError(f"The weights of the {what} {folder} cannot be read: {error}") from error
    if not str(config.model_type).startswith("mlic_"):
        raise ValueError(f"The {what} {folder} is a {config.model_type} model; an mlic_hf model was expected.")
    if problems := weight_problems(model, info):
        raise ValueError(
            f"The {what} {folder} is not whole: {'; '.join(problems)}. Its scores would mean nothing; save or fetch "
            "it again."
        )
    return model


def weight_problems(model: Any, info: Mapping[str, Any]) -> list[str]:
    """What is wrong with the weights of a loaded model, a sentence a kind; empty when all is well.

    Args:
        model: as loaded.
        info: the `output_loading_info` of transformers.
    """
    not_finite = [name for name, value in model.state_dict().items() if not bool(value.isfinite().all())]
    kinds = {
        "tensors are missing": info["missing_keys"],
        "tensors are not of this model": info["unexpected_keys"],
        "tensors have another shape": [entry[0] for entry in info["mismatched_keys"]],
        "tensors hold NaN or infinity": not_finite,
    }
    return [
        f"{len(names)} {kind} ({', '.join(sorted(names)[:6])}{', ...' if len(names) > 6 else ''})"
        for kind, names in kinds.items()
        if names
    ]


def load_teacher(folder: str, labels: Sequence[str] | None, half: bool) -> Teacher:
    """A frozen teacher whose outputs follow the data's label order, matched by name."""
    return Teacher(load_saved(folder, "teacher"), labels=labels, half=half)
