"""The teachers' logits of every training image on disk, for training images that look the same in every epoch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mlic_hf.methods.psd.part_teachers import PartTeachers
from mlic_hf.methods.views import PixelSpec

FORMAT_VERSION = 1


class LogitCache:
    """Answers like the teachers it was computed from, by image id instead of by pixels.

    Args:
        logits: {kind: (N, C)} in the label order of the student.
        image_ids: the N image ids of the rows.
        pixels: the view the teachers had.
    """

    provides: frozenset[str] = frozenset()
    stage_channels: Sequence[int] = ()

    def __init__(self, logits: Mapping[str, Tensor], image_ids: Sequence[str], pixels: PixelSpec) -> None:
        self.logits = dict(logits)
        self.row = {image: row for row, image in enumerate(image_ids)}
        self.pixels = pixels

    def __call__(
        self, pixel_values: Tensor, source: PixelSpec, *, image_id: Sequence[str] | None = None, **asked: bool
    ) -> Any:
        """{kind: logits (B, C)} of the images, on the device of the pixels.

        Raises:
            ValueError: for an image that the cache does not hold.
        """
        if image_id is None:
            raise ValueError("The logit cache answers by image id, but the batch has no `image_id`.")
        missing = [image for image in image_id if image not in self.row]
        if missing:
            raise ValueError(f"The logit cache lacks {len(missing)} images, among them {missing[0]!r}: delete it.")
        rows = torch.tensor([self.row[image] for image in image_id])
        return {kind: logits[rows].to(pixel_values.device) for kind, logits in self.logits.items()}


def compute_cache(teachers: PartTeachers, batches: Iterable[Mapping[str, Any]], source: PixelSpec) -> LogitCache:
    """Run the teachers once over all batches (`pixel_values`, `image_id`) prepared for `source`."""
    answers: list[dict[str, Tensor]] = []
    image_ids: list[str] = []
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for batch in batches:
        found = teachers(batch["pixel_values"].to(device), source)
        answers.append({kind: logits.float().cpu() for kind, logits in found.items()})
        image_ids += batch["image_id"]
    logits = {kind: torch.cat([answer[kind] for answer in answers]) for kind in answers[0]}
    return LogitCache(logits, image_ids, teachers.pixels)


def save_cache(cache: LogitCache, file: Path, identity: Mapping[str, Any]) -> None:
    """Write logits (safetensors) and, beside them, ids and what they were computed from (JSON)."""
    save_file({kind: logits.contiguous() for kind, logits in cache.logits.items()}, file)
    told = {"format_version": FORMAT_VERSION, "identity": dict(identity), "image_ids": list(cache.row)}
    file.with_suffix(".json").write_text(json.dumps(told) + "\n", encoding="utf-8")


def load_cache(file: Path, identity: Mapping[str, Any], pixels: PixelSpec) -> LogitCache | None:
    """The cache in a file; None if there is none, or if it was computed from something else."""
    described = file.with_suffix(".json")
    if not file.is_file() or not described.is_file():
        return None
    told = json.loads(described.read_text(encoding="utf-8"))
    if told.get("format_version") != FORMAT_VERSION or told.get("identity") != json.loads(json.dumps(dict(identity))):
        return None
    return LogitCache(load_file(file), told["image_ids"], pixels)
