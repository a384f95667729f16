"""The files of a teacher cache: one a view and range of images, written whole, memory-mapped when read."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mlic_hf.methods.teacher_cache.manifest import Manifest, write_whole

#: what the first image of a shard looked like to the teacher, (3, 4, 4) in [0, 1]; see look_alike.py
THUMBNAIL = "thumbnail"
AGAIN = "Delete it and start `mlic cache` again, which computes what is missing."


def shard_file(folder: Path, view: int, first: int) -> Path:
    """Where the answers for a view of the images from `first` on lie."""
    return folder / f"view_{view:04d}_images_{first:09d}.safetensors"


def missing_shards(folder: Path, manifest: Manifest) -> list[tuple[int, int]]:
    """(view, first image) of the shards that are not written yet."""
    return [place for place in manifest.shards if not shard_file(folder, *place).is_file()]


def write_shard(folder: Path, manifest: Manifest, view: int, first: int, tensors: Mapping[str, Tensor]) -> None:
    """Write a shard, whole or not at all.

    Raises:
        OSError: if the disk is full, saying what is still whole.
    """
    path = shard_file(folder, view, first)
    plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
    told = {"cache": manifest.hash, "place": f"view {view} from image {first} on", "checksum": checksum(plain)}
    try:
        write_whole(path, save(plain, told))
    except OSError as error:
        why = "the disk is full" if error.errno == errno.ENOSPC else str(error)
        done = len(manifest.shards) - len(missing_shards(folder, manifest))
        raise OSError(
            error.errno or 0,
            f"{path} could not be written: {why}. {done} of {len(manifest.shards)} shards are whole; make room and "
            "start the same command again.",
        ) from error


def read_shard(folder: Path, manifest: Manifest, view: int, first: int) -> dict[str, Tensor]:
    """The tensors of a shard, mapped into memory after their bytes were held against their checksum.

    Raises:
        FileNotFoundError: if the shard is not written yet.
        ValueError: if it was cut off or changed, or belongs to another cache.
    """
    path = shard_file(folder, view, first)
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} is not finished: {len(missing_shards(folder, manifest))} of {len(manifest.shards)} shards are "
            f"missing, among them {path.name}. Start `mlic cache` again, which computes what is missing."
        )
    try:
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise ValueError(f"The shard {path} cannot be read ({error}). {AGAIN}") from None
    if told.get("cache") != manifest.hash:
        raise ValueError(f"The shard {path} was written for another cache than that of its manifest. {AGAIN}")
    if told.get("place") != f"view {view} from image {first} on":
        raise ValueError(f"The shard {path} is that of {told.get('place')}: it was renamed. {AGAIN}")
    if told.get("checksum") != checksum(tensors):
        raise ValueError(f"The bytes of the shard {path} are not those that were written. {AGAIN}")
    return tensors


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """A hash of names, formats, shapes and bytes of tensors."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
