"""A teacher cache in one call, by one process; `mlic cache` does the same for a run, by several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mlic_hf.data import ImageTransform, MultiLabelDataset
from mlic_hf.methods.teacher_cache.cached_teacher import CachedTeacher
from mlic_hf.methods.teacher_cache.fill import begin_cache, fill_cache
from mlic_hf.methods.teacher_cache.fingerprint import teacher_hash
from mlic_hf.methods.teacher_cache.plan import plan_cache
from mlic_hf.methods.teacher_cache.shards import missing_shards
from mlic_hf.methods.teacher_cache.shown import Shown
from mlic_hf.methods.teachers.any_teacher import as_teacher
from mlic_hf.methods.views import PixelSpec


def compute_cache(
    teacher: Any,
    images: MultiLabelDataset | Sequence[MultiLabelDataset],
    folder: str | os.PathLike,
    *,
    name: str | None = None,
    batch_size: int = 64,
    num_workers: int = 0,
    device: torch.device | str | None = None,
    **wishes: Any,
) -> CachedTeacher:
    """Ask a teacher about V views of every image and keep the answers; a broken computation is taken up.

    Args:
        teacher: a folder, a model, a `Teacher`, or a list of several, whose logits are averaged.
        images: the training images as a student is shown them (`mlic_hf.training.examples.training_examples`), at the
            larger of the two models' sizes; several data sets with the same transform and labels.
        folder: where the answers go.
        name: of the teacher, for people; its folder's name or its type when None.
        batch_size: images at once.
        num_workers: processes that load images.
        device: where the teacher runs; a GPU where there is one when None.
        **wishes: views, contents, dtype, top_k, max_gb, images_per_shard of `plan_cache`.

    Returns:
        What answers in the teacher's place.

    Raises:
        ValueError: for a wish that cannot be fulfilled, or a folder that holds another cache.
        OSError: if the disk is full.
    """
    shown = Shown([images] if isinstance(images, MultiLabelDataset) else list(images))
    labels = shown.sets[0].label_space.names
    asked = as_teacher(teacher, labels)
    if asked is None:
        raise ValueError("teacher is None, so nobody can be asked.")
    told = name or (Path(teacher).name if isinstance(teacher, (str, os.PathLike)) else type(asked).__name__)
    source = pixels_of(shown.sets[0], asked)
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    identity = {"name": told, "hash": teacher_hash(asked)}
    plan = plan_cache(asked, shown, source, labels, identity, device=where, **wishes)
    place = Path(folder)
    plan = begin_cache(place, plan, shown.image_ids())
    missing = missing_shards(place, plan)
    fill_cache(
        asked, shown, source, place, plan, missing, batch_size=batch_size, num_workers=num_workers, device=where
    )
    return CachedTeacher(place, labels)


def pixels_of(images: MultiLabelDataset, teacher: Any) -> PixelSpec:
    """Size and normalisation of a data set's pictures; of a user's own transform they are the teacher's."""
    if not isinstance(images.transform, ImageTransform):
        return teacher.pixels
    config = images.transform.config
    return PixelSpec(config.image_size, tuple(config.mean), tuple(config.std))
