"""What a teacher cache is of: the one file that every shard, every writer and every reader is held against."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FORMAT = "mlic_hf teacher cache"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
IMAGES = "images.json"
DTYPES = ("float32", "float16", "bfloat16", "int8")
#: how the fields are called in sentences
TOLD = {
    "teacher": "the teacher",
    "labels": "the labels",
    "contents": "what is kept",
    "transform": "the transform",
    "seed": "the seed of the draws",
    "images": "the images",
    "dtype": "the number format",
    "top_k": "top_k",
    "views": "the number of views",
    "images_per_shard": "the images of a shard",
    "unanswered": "the labels without an answer",
    "dropped": "what was dropped",
}


@dataclass(frozen=True)
class Manifest:
    """Everything the answers depend on, and how they are kept.

    Attributes:
        teacher: {"name": for people, "hash": of what it computes with}.
        labels: the label names in the order of the answers.
        contents: what is kept -> its shape for one image, such as {"logits": [38]}; PSD's are "logits.<kind>".
        images: {"count", "hash"} of the image ids in their order.
        views: V, the draws of an image; None where an answer holds for an image however it is drawn.
        transform: of `describe_transform`; None where `views` is.
        seed: of the draws; None where nothing is drawn.
        dtype: float32, float16, bfloat16, or int8 for logits (the other contents are then float16).
        top_k: how many logits of an image are kept; None for all.
        images_per_shard: how many images a file holds.
        unanswered: the labels that the teacher does not answer; its logits for them mean nothing.
        dropped: contents that were asked for and left out, for lack of room.
    """

    teacher: Mapping[str, str]
    labels: Sequence[str]
    contents: Mapping[str, Sequence[int]]
    images: Mapping[str, Any]
    views: int | None = 1
    transform: Mapping[str, Any] | None = None
    seed: int | None = None
    dtype: str = "float16"
    top_k: int | None = None
    images_per_shard: int = 1024
    unanswered: Sequence[str] = field(default_factory=list)
    dropped: Sequence[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}; a teacher cache is kept as one of {', '.join(DTYPES)}.")
        if self.views is not None and self.views < 1:
            raise ValueError(f"views is {self.views}; at least one view of an image is kept.")
        if self.top_k is not None and not 0 < self.top_k < len(self.labels):
            raise ValueError(
                f"top_k is {self.top_k}; of {len(self.labels)} logits 1 to {len(self.labels) - 1} are kept."
            )

    @property
    def hash(self) -> str:
        """16 hex digits that every shard carries; equal exactly when two manifests are."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def shards(self) -> list[tuple[int, int]]:
        """(view, first image) of every shard, in order."""
        firsts = range(0, self.images["count"], self.images_per_shard)
        return [(view, first) for view in range(self.views or 1) for first in firsts]

    def differences(self, other: Manifest) -> list[str]:
        """A sentence's part for each field in which another manifest differs; a teacher is the same under any name."""
        own, its = (json.loads(json.dumps(asdict(m))) for m in (self, other))
        if self.teacher.get("hash") == other.teacher.get("hash"):
            own["teacher"] = its["teacher"]
        return [
            f"{TOLD[name]} ({_shown(own[name], its[name])}, not {_shown(its[name], own[name])})"
            for name in TOLD
            if own[name] != its[name]
        ]

    def save(self, folder: Path, image_ids: Sequence[str]) -> None:
        """Write the images, then the manifest: a folder with a manifest has both."""
        write_whole(folder / IMAGES, (json.dumps(list(image_ids)) + "\n").encode())
        told = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}
        write_whole(folder / MANIFEST, (json.dumps(told, indent=1) + "\n").encode())


def is_cache(folder: str | os.PathLike) -> bool:
    """Whether a folder holds a teacher cache, whole or not."""
    return (Path(folder) / MANIFEST).is_file()


def load_manifest(folder: Path) -> tuple[Manifest, list[str]]:
    """The manifest of a cache and its image ids.

    Raises:
        FileNotFoundError: if the folder holds no cache.
        ValueError: if a file cannot be read, is of another format, or the images are not those of the manifest.
    """
    for name in (MANIFEST, IMAGES):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no {name}, so it is no teacher cache; `mlic cache` makes one.")
    told, image_ids = _read(folder / MANIFEST), _read(folder / IMAGES)
    if not isinstance(told, dict) or told.pop("format", None) != FORMAT:
        raise ValueError(f"{folder / MANIFEST} is not that of a teacher cache: its format should be {FORMAT!r}.")
    if (version := told.pop("format_version", None)) != FORMAT_VERSION:
        raise ValueError(f"{folder / MANIFEST} has format_version {version!r}; this version reads {FORMAT_VERSION}.")
    try:
        manifest = Manifest(**told)
    except TypeError as error:
        raise ValueError(f"{folder / MANIFEST} has other fields than a teacher cache: {error}.") from None
    if manifest.images != describe_images(image_ids):
        raise ValueError(f"{folder / IMAGES} does not hold the images of {MANIFEST}; make the cache anew.")
    return manifest, image_ids


def describe_images(image_ids: Sequence[str]) -> dict[str, Any]:
    """Count and hash of image ids in their order, as a manifest has them."""
    return {"count": len(image_ids), "hash": hashlib.sha256(json.dumps(list(image_ids)).encode()).hexdigest()[:16]}


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is whole or not there, whenever the process dies or the disk is full."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    unfinished.replace(path)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read ({error}); make the cache anew.") from None


def _shown(value: Any, beside: Any) -> str:
    """A field's value in a sentence, of mappings and lists only where it differs."""
    if isinstance(value, dict) and isinstance(beside, dict):
        value = {name: inner for name, inner in value.items() if beside.get(name, "nothing") != inner}
    if isinstance(value, list) and isinstance(beside, list):
        place = next(
            (i for i, pair in enumerate(zip(value, beside)) if pair[0] != pair[1]), min(len(value), len(beside))
        )
        return f"{value[place] if place < len(value) else 'none'} at place {place} of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
