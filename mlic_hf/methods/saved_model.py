"""A saved model of this library, from a folder or the Hub, or a sentence that says why it is none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError


def load_saved(folder: str, what: str = "model") -> Any:
    """A model that this library saved, every weight of which was found and is finite.

    Raises:
        ValueError: if the folder is not there, holds another kind of model, or if tensors are missing, of another
            shape, not of this model, or hold NaN or infinity; names them.
    """
    from transformers import AutoConfig, AutoModelForImageClassification

    path = Path(folder)
    if not path.is_dir() and not is_hub_name(folder):
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


def is_hub_name(text: str) -> bool:
    """Whether a text has the form of a Hub repository, owner/name."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", text) is not None


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
