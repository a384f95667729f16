"""OASS one (image, label) pair at a time: what the batched step must equal, and what the benchmark compares with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mlic_hf.modeling.class_maps_mlic import class_activation_maps, key_points


def quarter(picture: Tensor, number: int, row: int, column: int) -> Tensor:
    """One of the four parts (top left, top right, bottom left, bottom right) of (channels, H, W)."""
    rows = slice(row) if number < 2 else slice(row, None)
    columns = slice(column) if number % 2 == 0 else slice(column, None)
    return picture[:, rows, columns]


def merged_map(model: Any, image: Tensor, point: tuple[int, int], cells: tuple[int, int]) -> Tensor:
    """(C, h, w): four crops of an image (3, H, W), resized, through the model, their maps put back."""
    (row, column), (height, width) = point, image.shape[1:]
    half = (height // 2, width // 2)
    crops = [F.interpolate(quarter(image, i, row, column)[None], size=half, mode="nearest") for i in range(4)]
    with torch.no_grad():
        maps = model(torch.cat(crops), output_class_maps=True).class_maps
    split_row = min(max(row * cells[0] // height, 1), cells[0] - 1)
    split_column = min(max(column * cells[1] // width, 1), cells[1] - 1)
    merged = maps.new_zeros(maps.shape[1], *cells)
    for i in range(4):
        place = quarter(merged, i, split_row, split_column)
        place.copy_(F.interpolate(maps[i : i + 1], size=place.shape[1:], mode="nearest")[0])
    return merged


def losses_by_pair(
    model: Any, pixels: Tensor, class_maps: Tensor, labels: Tensor, rule: str = "ctopk_w"
) -> tuple[Tensor, Tensor]:
    """The partial class loss and the reconstruction loss, averaged over the pairs."""
    partial, reconstruction = [], []
    size, cells = (pixels.shape[2], pixels.shape[3]), (class_maps.shape[2], class_maps.shape[3])
    for image in range(len(labels)):
        for label in (labels[image] > 0).nonzero()[:, 0].tolist():
            row = labels[image : image + 1]
            only = (
                row
                if rule == "max"
                else F.one_hot(torch.tensor([label], device=labels.device), labels.shape[1]).to(row)
            )
            cams = class_activation_maps(class_maps[image : image + 1].detach())
            point = key_points(cams, only, size, rule)[0, label].tolist()
            merged = merged_map(model, pixels[image], point, cells)
            target = F.one_hot(torch.tensor(label, device=labels.device), labels.shape[1]).to(merged)
            known = labels[image] >= 0
            scores = merged.mean(dim=(1, 2))
            partial.append(F.binary_cross_entropy_with_logits(scores[known], target[known]))
            mask = target[:, None, None]
            reconstruction.append((class_maps[image] * mask - merged * mask).abs().mean())
    return torch.stack(partial).mean(), torch.stack(reconstruction).mean()
