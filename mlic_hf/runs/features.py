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

from mlic_hf.data import MultiLabelDataset, compute_feature_maps
from mlic_hf.methods.base import Method
from mlic_hf.methods.teacher_cache import CachedTeacher, compute_cache, contents_for, teacher_hash
from mlic_hf.methods.teachers import Teacher
from mlic_hf.methods.views import PixelSpec, convert_pixels

logger = logging.getLogger(__name__)
IDENTITY = "identity.json"


def kept_features(
    student: Any,
    images: MultiLabelDataset,
    source: Any,
    drawn: PixelSpec,
    pixels: PixelSpec,
    views: int,
    folder: Path,
    batch_size: int,
) -> Path:
    """Where the feature maps of images lie, computed now by the student's backbone unless they are there.

    Every backbone, data set and transform has a sub-folder of its own, named by a hash of all that they depend on:
    another head finds the same maps, another network or crop never does.

    Args:
        student: a model; its backbone is frozen by this.
        images: with the transform that is drawn from.
        source: what tells these images from others, ready for JSON.
        drawn: size and normalisation of their pictures.
        pixels: those that the student wants.
        views: draws of each image.
        folder: of the maps of all runs.
        batch_size: images at once.
    """
    backbone = student.backbone.requires_grad_(False).eval()
    told = identity(backbone, images, source)
    if drawn != pixels:
        told["shown"] = str(pixels)  # smaller than they were drawn, for a teacher that wants them large
    place = folder / hashed(told)
    state = PartialState()

    @torch.inference_mode()
    def extract(pictures: torch.Tensor) -> torch.Tensor:
        return backbone.feature_map(convert_pixels(pictures.to(state.device), drawn, pixels))

    with state.main_process_first():
        if state.is_main_process:
            place.mkdir(parents=True, exist_ok=True)
            backbone.to(state.device)
            with FileLock(place / ".lock"):  # another run may want the same
                (place / IDENTITY).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
                logger.info("%d views of %d images as feature maps in %s", views, len(images), place)
                compute_feature_maps(images, extract, place, views, batch_size)
    return place


def kept_answers(
    method: Method, images: MultiLabelDataset, folder: Path, views: int, batch_size: int
) -> Teacher | None:
    """What answers in the teacher's place for the draws of which feature maps are kept; None without a teacher.

    Args:
        method: its objectives say what the teacher is asked for.
        images: as they are drawn for the student and the teacher.
        folder: of the maps of all runs; the answers lie beside them.
        views: draws of each image.
        batch_size: images at once.

    Raises:
        ValueError: if the teacher is a cache that holds fewer draws, or other ones.
    """
    teacher = method.teacher
    if isinstance(teacher, CachedTeacher):
        teacher.refuse_fewer_views(views)
        teacher.taught(images, method.batch_pixels)  # refuses what it was not asked about
    if teacher is None or isinstance(teacher, CachedTeacher):
        return teacher
    contents = contents_for(method.asks_teacher)
    told = {"teacher": teacher_hash(teacher), "images": images.image_ids(), "seed": images.seed, "views": views}
    told |= {"contents": contents, "transform": str(images.transform.config)}  # type: ignore[attr-defined]
    place = folder / f"answers_{hashed(told)}"
    with PartialState().main_process_first():
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / ".lock"):
            return compute_cache(teacher, images, place, views=views, contents=contents, batch_size=batch_size)


def identity(backbone: Any, images: MultiLabelDataset, source: Any) -> dict[str, Any]:
    """What feature maps depend on: the network and its weights, the images, their transform and its draws."""
    weights = hashlib.sha256(repr(backbone).encode())
    for name, tensor in sorted(backbone.state_dict().items()):
        weights.update(name.encode() + tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    drawn: Any = images.transform  # an ImageTransform, as every run builds
    transform = {name: str(value) for name, value in vars(drawn.config).items()}
    return {"backbone": weights.hexdigest(), "images": source, "transform": transform, "seed": images.seed}


def hashed(told: dict[str, Any]) -> str:
    """16 hex digits."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
