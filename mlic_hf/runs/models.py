"""From the settings to the models of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlic_hf import modeling
from mlic_hf.methods.saved_model import load_saved
from mlic_hf.methods.teachers import list_labels
from mlic_hf.runs.options import MODEL_CLASSES, RunOptions

logger = logging.getLogger(__name__)
MODEL = "model.safetensors"
PROJECTOR = "head.projector."


def build_model(run: RunOptions, labels: Sequence[str]) -> Any:
    """A new student: its architecture on its backbone, with the weights that `pretrained` and `init_from` name."""
    pretrained: bool | str = {"true": True, "false": False}.get(run.pretrained.lower(), run.pretrained)
    # what the training transforms do, and so what the saved image processor has to do
    options = {"interpolation": "bilinear"} | run.model_options
    if run.normalization == "none":
        options |= {"image_mean": [0.0, 0.0, 0.0], "image_std": [1.0, 1.0, 1.0]}
    model = getattr(modeling, MODEL_CLASSES[run.architecture]).from_backbone(
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

    Labels that both have keep what they have by name, the others start anew; how many is said in the log. MulCon's
    second stage begins so, too; its projector is made anew, as published.

    Raises:
        FileNotFoundError: if there is no model.
        ValueError: naming the parameters that do not fit.
    """
    averaged = folder / "ema" if (folder / "ema" / MODEL).is_file() else folder
    if not (averaged / MODEL).is_file():
        raise FileNotFoundError(f"init_from is {folder}, but there is no {MODEL} in it.")
    old = load_saved(str(averaged), "model of init_from")
    if type(old) is not type(model):
        raise ValueError(f"init_from is {folder}, a {type(old).__name__}; expected a {type(model).__name__}.")
    take_labels(old, model, folder)
    if old.config.image_size != model.config.image_size:
        old.set_image_size(model.config.image_size)
    saved, own = (
        {name: value for name, value in each.state_dict().items() if not name.startswith(PROJECTOR)}
        for each in (old, model)
    )
    wrong = sorted(set(saved) ^ set(own))
    wrong += sorted(name for name in set(saved) & set(own) if saved[name].shape != own[name].shape)
    if wrong:
        raise ValueError(
            f"init_from is {folder}, whose parameters do not fit {type(model).__name__} on "
            f"{model.config.backbone}: {', '.join(wrong[:5])}. Start from a model of the same settings."
        )
    model.load_state_dict(saved, strict=False)


def take_labels(old: Any, model: Any, folder: Path) -> None:
    """Make an old model one for a new one's labels, and say in the log how many of them it knew."""
    names, before = list_labels(model), list_labels(old)
    vectors = getattr(model.config, "label_vectors", None) == "words"
    anew = old.set_labels(names, **{name: getattr(model.head, name) for name in model.label_inputs if vectors})
    if names != before:
        kept = len(names) - len(anew)
        logger.warning("Of %d labels %d keep what %s has of them.", len(names), kept, folder.name)
