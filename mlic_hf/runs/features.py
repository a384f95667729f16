"""Heads on a frozen backbone: its feature maps of a data set are computed once and kept in a folder."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from filelock import FileLock

from mlic_hf.data import FeatureMaps, MultiLabelDataset, compute_feature_maps

logger = logging.getLogger(__name__)
IDENTITY = "identity.json"


def kept_features(
    student: Any, images: MultiLabelDataset, source: Any, folder: Path, views: int, batch_size: int
) -> FeatureMaps:
    """The feature maps of images, from the folder where they are or computed now by the student's backbone.

    Every backbone, data set and transform has a sub-folder of its own, named by a hash of all that they depend on:
    another head finds the same maps, another network or crop never does.

    Args:
        student: a model; its backbone is frozen by this.
        images: with the transform that is drawn from.
        source: what tells these images from others, ready for JSON.
        folder: of the maps of all runs.
        views: draws of each image.
        batch_size: images at once.
    """
    backbone = student.backbone.requires_grad_(False).eval()
    told = identity(backbone, images, source)
    place = folder / hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    state = PartialState()

    @torch.inference_mode()
    def extract(pixels: torch.Tensor) -> torch.Tensor:
        return backbone.feature_map(pixels.to(state.device))

    with state.main_process_first():
        if state.is_main_process:
            place.mkdir(parents=True, exist_ok=True)
            backbone.to(state.device)
            with FileLock(place / ".lock"):  # another run may want the same
                (place / IDENTITY).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
                logger.info("%d views of %d images as feature maps in %s", views, len(images), place)
                compute_feature_maps(images, extract, place, views, batch_size)
    return FeatureMaps(images, place, views)


def identity(backbone: Any, images: MultiLabelDataset, source: Any) -> dict[str, Any]:
    """What feature maps depend on: the network and its weights, the images, their transform and its draws."""
    weights = hashlib.sha256(repr(backbone).encode())
    for name, tensor in sorted(backbone.state_dict().items()):
        weights.update(name.encode() + tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    drawn: Any = images.transform  # an ImageTransform, as every run builds
    transform = {name: str(value) for name, value in vars(drawn.config).items()}
    return {"backbone": weights.hexdigest(), "images": source, "transform": transform, "seed": images.seed}
