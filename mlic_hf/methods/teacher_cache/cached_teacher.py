"""What a teacher said once, in its place: answers by image and view, without the teacher."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlic_hf.data import MultiLabelDataset
from mlic_hf.methods.teacher_cache.encoding import LOGITS, decode
from mlic_hf.methods.teacher_cache.look_alike import refuse_other_draws, refuse_other_pictures
from mlic_hf.methods.teacher_cache.manifest import load_manifest
from mlic_hf.methods.teacher_cache.shards import missing_shards, read_shard
from mlic_hf.methods.teachers.model import PER_LABEL, match_labels
from mlic_hf.methods.views import PixelSpec
from mlic_hf.modeling.outputs_mlic import MultiLabelOutput

#: a field of a model's output -> the content that stands for it
CONTENT_OF = {"label_embeddings": "label_embeddings", "class_maps": "class_maps", "feature_map": "pooled"}


@dataclass
class KnownOutput(MultiLabelOutput):
    """Adds `answered` (B, C): the cells that the teacher answers; None for all."""

    answered: Tensor | None = None


class CachedTeacher:
    """A `Teacher` that looks its answers up in a folder of `compute_cache`.

    Attributes:
        pixels: size the teacher's pictures were drawn in; a run has to draw them in the same.
        kinds: the partitions of PSD that it answers for; empty for a teacher of all labels.
        answered: (C,) which of the labels it answers; None for all.
        answers_by_id: True: it does not look at the pixels.

    Args:
        folder: the cache.
        labels: the label names its answers shall follow; its own when None.

    Raises:
        FileNotFoundError: if it is not there or not finished.
        ValueError: if it is broken, or its labels are other ones.
    """

    stage_channels: Sequence[int] = ()
    answers_by_id = True

    def __init__(self, folder: str | os.PathLike, labels: Sequence[str] | None = None) -> None:
        self.folder = Path(folder)
        self.manifest, self.image_ids = load_manifest(self.folder)
        if missing := missing_shards(self.folder, self.manifest):
            read_shard(self.folder, self.manifest, *missing[0])  # tells what is missing
        self.order = match_labels(self.manifest.labels, labels or self.manifest.labels, "teacher cache")
        self.row = {image_id: row for row, image_id in enumerate(self.image_ids)}
        contents = self.manifest.contents
        self.kinds = tuple(name.partition(".")[2] for name in contents if name.startswith(f"{LOGITS}."))
        self.provides = frozenset(field for field, content in CONTENT_OF.items() if content in contents)
        size = 1 if self.manifest.transform is None else self.manifest.transform["image_size"]
        self.pixels = PixelSpec(size, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        known = [name not in self.manifest.unanswered for name in labels or self.manifest.labels]
        self.answered = None if all(known) else torch.tensor(known)
        self._open: dict[tuple[int, int], dict[str, Tensor]] = {}

    def taught(self, images: MultiLabelDataset, source: PixelSpec) -> MultiLabelDataset:
        """The images as the teacher was shown them: the draws of epoch e are those of view e mod V.

        Args:
            images: what a student is trained on.
            source: size and normalisation of their pictures.

        Raises:
            ValueError: if the cache lacks images, or was made of other draws or pictures.
        """
        if images.views > 1 and self.manifest.views is not None:
            raise ValueError("This method compares two views of an image, but a teacher cache keeps answers for one.")
        lacking = [image_id for image_id in images.image_ids() if image_id not in self.row]
        if lacking:
            raise ValueError(
                f"The teacher cache {self.folder} lacks {len(lacking)} of the {len(images)} training images, among "
                f"them {lacking[0]!r}: it was made of other data. Make a cache of these."
            )
        if self.manifest.views is None:
            return images
        refuse_other_draws(images, source, self.manifest, self.folder)
        refuse_other_pictures(images, source, self.manifest, self.folder, self.image_ids)
        return images.repeating(self.manifest.views)

    def refuse_fewer_views(self, views: int) -> None:
        """Refuse feature maps of more draws than were asked about.

        Raises:
            ValueError: saying how many there are.
        """
        if self.manifest.views is not None and views > self.manifest.views:
            raise ValueError(
                f"feature_views is {views}, but the teacher cache {self.folder} holds answers for "
                f"{self.manifest.views}: take as many, or make a cache of {views} views."
            )

    @torch.no_grad()
    def __call__(
        self,
        pixel_values: Tensor,
        source: PixelSpec,
        *,
        image_id: Sequence[str] | None = None,
        view: Sequence[int] | None = None,
        **asked: bool,
    ) -> Any:
        """The answers for the images of a batch, on the device of its pixels, in float32.

        Returns:
            A model's output, its feature map (B, D, 1, 1) the pooled one; or {kind: logits (B, C)} of PSD's parts.

        Raises:
            ValueError: for an image, a view or a field that the cache does not hold.
        """
        places = self._places(image_id, view)
        fields = [name.removeprefix("output_") for name, wanted in asked.items() if wanted]
        for field in fields:
            if field not in self.provides:
                dropped = (
                    " (it was dropped for lack of room)" if CONTENT_OF.get(field) in self.manifest.dropped else ""
                )
                raise ValueError(
                    f"The loss asks the teacher for {field}, but the cache {self.folder} holds "
                    f"{', '.join(self.manifest.contents)}{dropped}: make a cache with these contents, or set the "
                    "weight of the loss to 0."
                )
        if self.kinds:
            return {kind: self._answer(f"{LOGITS}.{kind}", LOGITS, places, pixel_values.device) for kind in self.kinds}
        names = {LOGITS: LOGITS} | {field: CONTENT_OF[field] for field in fields}
        found: Any = {field: self._answer(name, field, places, pixel_values.device) for field, name in names.items()}
        if "feature_map" in found:
            found["feature_map"] = found["feature_map"][:, :, None, None]
        if self.manifest.views is None:  # answers from elsewhere, whose empty cells are NaN
            unknown = found[LOGITS].isnan()
            found |= {LOGITS: found[LOGITS].masked_fill(unknown, 0.0), "answered": ~unknown}
        return KnownOutput(**found)

    def _places(self, image_id: Sequence[str] | None, view: Sequence[int] | None) -> list[tuple[Mapping, int]]:
        """The shard and the row in it of every image."""
        if image_id is None:
            raise ValueError("A teacher cache answers by image id, but the batch has no `image_id`.")
        if self.manifest.views is None:
            view = [0] * len(image_id)
        if view is None:
            raise ValueError(
                "A teacher cache answers for views of an image, but the batch does not say which it shows (`view`): "
                "train on rows or on a MultiLabelDataset, or pass CachedTeacher.taught of it."
            )
        unknown = [image for image in image_id if image not in self.row]
        if unknown:
            raise ValueError(f"The teacher cache {self.folder} lacks the image {unknown[0]!r}: it is of other data.")
        size = self.manifest.images_per_shard
        rows = [self.row[image] for image in image_id]
        return [(self._shard(v, row - row % size), row % size) for v, row in zip(view, rows)]

    def _shard(self, view: int, first: int) -> Mapping[str, Tensor]:
        if (view, first) not in self._open:
            # an epoch shows one view, so those of the last are not needed again soon
            self._open = {place: shard for place, shard in self._open.items() if place[0] == view}
            self._open[view, first] = read_shard(self.folder, self.manifest, view, first)
        return self._open[view, first]

    def _answer(self, name: str, field: str, places: list[tuple[Mapping, int]], device: torch.device) -> Tensor:
        keys = [key for key in places[0][0] if key == name or key.startswith(f"{name}.")]
        kept = {key: torch.stack([shard[key][row] for shard, row in places]) for key in keys}
        found = decode(kept, name, self.manifest)
        if self.order is not None and field in PER_LABEL:
            found = found[:, self.order]
        if device.type == "cuda":
            found = found.pin_memory()  # or the copy would wait for the step before
        return found.to(device, non_blocking=True)


def refuse_mixed_answers(teacher: Any) -> None:
    """Refuse a cache where images are mixed.

    Raises:
        ValueError: saying why.
    """
    if isinstance(teacher, CachedTeacher):
        raise ValueError(
            "mixup_alpha mixes images of one batch, and nobody asked the teacher about the mixtures: whom an image is "
            "mixed with depends on its batch. Set mixup_alpha to 0, or teach with the model itself."
        )
