"""The cuts of a batch: key points, the four pieces of every cut through a model, their merged class maps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mlic_hf.methods.base import MethodBatch
from mlic_hf.methods.oass.averaged_student import AveragedStudent
from mlic_hf.methods.oass.chunk_size import measure_chunk_size
from mlic_hf.methods.oass.config import OASSConfig
from mlic_hf.methods.once_per_batch import OncePerBatch
from mlic_hf.modeling.class_maps_mlic import class_activation_maps, cut_in_four, key_points, merge_four


@dataclass
class Cuts:
    """All (image, true label) pairs of a batch.

    Attributes:
        images: (N,) the image of each pair.
        labels: (N,) its label.
        merged: (N, C, h, w) the class maps of the pieces, put together again.
    """

    images: Tensor
    labels: Tensor
    merged: Tensor


def cut_and_merge(model: Any, pixels: Tensor, owners: Tensor, points: Tensor, cells: tuple[int, int]) -> Tensor:
    """Cut images in four, send the pieces through a model, merge their class maps.

    Args:
        model: called as `model(pixels, output_class_maps=True)`.
        pixels: (B, 3, H, W).
        owners: (N,) the image of each cut.
        points: (N, 2) long, row and column of each cut in pixels.
        cells: height and width of the whole image's class map.

    Returns:
        (N, C, h, w).
    """
    pieces = cut_in_four(pixels, owners, points)
    maps = model(pieces.flatten(0, 1), output_class_maps=True).class_maps
    # In whole cells, so that sizes that the stride does not divide need no rounded stride.
    rows, columns = points.unbind(1)
    split = torch.stack([rows * cells[0] // pixels.shape[2], columns * cells[1] // pixels.shape[3]], dim=1)
    return merge_four(maps.unflatten(0, (len(owners), 4)), split, 1, cells)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """A model in evaluation mode, each of its modules as it was afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


class CutAndMerge:
    """What both of OASS's losses share: computed once for a batch, whoever asks first.

    Not an nn.Module: the averaged copy is neither trained nor wrapped nor saved with the student.

    Args:
        config: the settings.
        student: the model whose averaged copy looks at the pieces.
    """

    def __init__(self, config: OASSConfig, student: nn.Module) -> None:
        self.config = config
        self.averaged = AveragedStudent(student, config.average_decay)
        self.chunk_size = config.chunk_size
        self._keeper: str | None = None
        self.of_batch = OncePerBatch(self._compute)

    def kept_by(self, name: str) -> bool:
        """Whether the objective of this name moves and saves the copy: the first that asks, and no other."""
        self._keeper = self._keeper or name
        return self._keeper == name

    def _compute(self, batch: MethodBatch) -> Cuts:
        """The cuts of a batch, or a ValueError if the class maps are too small to be cut."""
        maps, pixels = batch.student.class_maps, batch.pixel_values
        cells, size = (maps.shape[2], maps.shape[3]), (pixels.shape[2], pixels.shape[3])
        if min(cells) < 2:
            raise ValueError(
                f"OASS cuts class maps in four, but images of {size[0]}x{size[1]} px give {cells[0]}x{cells[1]} "
                "cells; use larger images (image_size) or a finer map (output_stride of the model)."
            )
        images, labels = (batch.labels > 0).nonzero(as_tuple=True)
        if len(images) == 0:
            return Cuts(images, labels, maps.new_zeros(0, *maps.shape[1:]))
        cams = class_activation_maps(maps.detach().float())
        points = key_points(cams, batch.labels, size, self.config.key_points, self.config.k, None, (images, labels))
        if self.config.key_points != "max":
            return Cuts(images, labels, self._merge(batch, images, points[images, labels], cells))
        # One point an image: its labels share one cut.
        some = (batch.labels > 0).any(dim=1)
        owners = some.nonzero()[:, 0]
        merged = self._merge(batch, owners, points.amax(dim=1)[owners], cells)
        return Cuts(images, labels, merged[some.cumsum(0)[images] - 1])

    def _merge(self, batch: MethodBatch, owners: Tensor, points: Tensor, cells: tuple[int, int]) -> Tensor:
        online = self.config.gradient == "online"
        pixels = batch.pixel_values
        if not online:
            self.averaged.to(pixels.device)
        model = batch.model if online else self.averaged
        with evaluating(model):
            size = self.chunk_size or self._measure(model, pixels, owners, points, cells)
            return torch.cat(
                [
                    cut_and_merge(model, pixels, some, at, cells)
                    for some, at in zip(owners.split(size), points.split(size))
                ]
            )

    def _measure(self, model: Any, pixels: Tensor, owners: Tensor, points: Tensor, cells: tuple[int, int]) -> int:
        @torch.no_grad()
        def run(cuts: int) -> Tensor:
            pick = torch.arange(cuts, device=owners.device) % len(owners)
            return cut_and_merge(model, pixels, owners[pick], points[pick], cells)

        self.chunk_size = measure_chunk_size(run, pixels.device)
        return self.chunk_size
