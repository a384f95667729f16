"""Ask a teacher about every view of every image, once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mlic_hf.data import collate
from mlic_hf.methods.teacher_cache.answers import answers_of
from mlic_hf.methods.teacher_cache.encoding import encode
from mlic_hf.methods.teacher_cache.look_alike import thumbnail
from mlic_hf.methods.teacher_cache.manifest import Manifest, is_cache, load_manifest
from mlic_hf.methods.teacher_cache.plan import sizes
from mlic_hf.methods.teacher_cache.shards import THUMBNAIL, missing_shards, write_shard
from mlic_hf.methods.teacher_cache.shown import Shown
from mlic_hf.methods.teachers.protocol import Teacher
from mlic_hf.methods.views import PixelSpec


def begin_cache(folder: Path, manifest: Manifest, image_ids: Sequence[str]) -> Manifest:
    """Write the manifest, or hold what is there against it; remove what a killed process left half written.

    Returns:
        The manifest that is there.

    Raises:
        ValueError: if the folder holds a cache of something else.
        OSError: if the disk is too small.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if is_cache(folder):
        wanted, manifest = manifest, load_manifest(folder)[0]
        if differing := manifest.differences(wanted):
            raise ValueError(
                f"{folder} holds another teacher cache: {'; '.join(differing)}. Choose another folder, or delete it."
            )
    else:
        manifest.save(folder, image_ids)
    for unfinished in folder.glob("*.unfinished"):
        unfinished.unlink()
    share = len(missing_shards(folder, manifest)) / len(manifest.shards)
    needed, free = share * sum(sizes(manifest).values()), shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"The answers take {needed / 1e9:.3g} GB, but {folder} has {free / 1e9:.3g} GB free: make room, keep "
            "fewer views or contents, or choose another folder."
        )
    return manifest


def fill_cache(
    teacher: Teacher,
    images: Shown,
    source: PixelSpec,
    folder: Path,
    manifest: Manifest,
    places: Sequence[tuple[int, int]],
    *,
    batch_size: int = 64,
    num_workers: int = 0,
    device: torch.device | str = "cpu",
    told: Callable[[int], None] = lambda images: None,
) -> None:
    """Write some shards of a cache that `begin_cache` began.

    Args:
        teacher: who is asked.
        images: about what.
        source: size and normalisation of the pictures.
        folder: of the cache.
        manifest: of the cache.
        places: (view, first image) of the shards; several processes write different ones.
        batch_size: images at once.
        num_workers: processes that load images.
        device: where the teacher runs.
        told: called with the number of images after each batch.
    """
    count, size = len(images), manifest.images_per_shard
    batches = [
        [(view, row) for row in range(start, min(start + batch_size, first + size, count))]
        for view, first in places
        for start in range(first, min(first + size, count), batch_size)
    ]
    loader = iter(DataLoader(images, batch_sampler=batches, collate_fn=collate, num_workers=num_workers))  # type: ignore[arg-type]
    for view, first in places:
        tensors = _answers_of_shard(loader, min(size, count - first), teacher, source, manifest, device, told)
        write_shard(folder, manifest, view, first, tensors)


def _answers_of_shard(
    loader: Iterator[dict[str, Any]],
    length: int,
    teacher: Teacher,
    source: PixelSpec,
    manifest: Manifest,
    device: torch.device | str,
    told: Callable[[int], None],
) -> dict[str, Tensor]:
    """The tensors of a shard, from as many batches as it has images for."""
    found: dict[str, list[Tensor]] = {name: [] for name in manifest.contents}
    seen: Tensor | None = None
    while length:
        batch = next(loader)
        seen = thumbnail(batch["pixel_values"][0], source) if seen is None else seen
        answers = answers_of(teacher, batch["pixel_values"].to(device), source, list(manifest.contents))
        for name, values in answers.items():
            found[name].append(values.float().cpu())
        length -= len(batch["image_id"])
        told(len(batch["image_id"]))
    assert seen is not None
    return encode({name: torch.cat(values) for name, values in found.items()}, manifest) | {THUMBNAIL: seen}
