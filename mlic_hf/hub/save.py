"""Saving a model as a folder that the Hub can serve: weights, code, image processor, card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlic_hf.hub.card import write_card
from mlic_hf.hub.privacy import publishable
from mlic_hf.modeling import MultiLabelImageProcessor, MultiLabelModel


def save_model(model: MultiLabelModel, folder: str | Path, run: Mapping[str, Any] | None = None) -> Path:
    """Save a model with everything that belongs to it.

    Args:
        model: any architecture of this package.
        folder: made when it does not exist.
        run: what `run.json` shall say (`method`, `origin`, `data`, `metrics`, `command`, `versions`, `seed`);
            the card reads it. None keeps the folder's own run.json, if there is one.

    Returns:
        the folder.
    """
    folder = Path(folder)
    model.save_pretrained(folder)
    MultiLabelImageProcessor.for_model(model).save_pretrained(folder)
    if run is not None:
        (folder / "run.json").write_text(json.dumps(publishable(run, folder), indent=1), encoding="utf-8")
    write_card(folder)
    return folder


def library_versions() -> dict[str, str]:
    """The versions of the libraries that a model's numbers rest on."""
    import timm
    import torch
    import transformers

    from mlic_hf import __version__

    modules = {"torch": torch, "transformers": transformers, "timm": timm}
    return {"mlic_hf": __version__, **{name: str(module.__version__) for name, module in modules.items()}}
