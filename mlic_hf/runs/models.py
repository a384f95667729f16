"""From the settings to the models of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from mlic_hf import modeling
from mlic_hf.methods.teachers import list_labels
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
