"""Where the labels of an image are: a map a label, and key points and boxes in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .class_maps_mlic import boxes, class_activation_maps, key_points
from .predictions_mlic import label_thresholds

BOX_CELLS = 4  # a box is drawn on the class map resized to this many cells a cell


def places(class_maps: Tensor, size: tuple[int, int], box_threshold: float = 0.4) -> tuple[Tensor, Tensor]:
    """Key point and box of the object that each class map is highest on.

    Args:
        class_maps: (N, h, w), one map an (image, label) pair.
        size: height and width of the image in pixels.
        box_threshold: share of the map's maximum that the box's cells reach, in (0, 1]; lower gives larger boxes.

    Returns:
        (N, 2) key points (x, y), the maximum of each activation map at the image's size (OASS's `cmax`), and (N, 4)
        boxes (left, top, right, bottom) around the region connected to it. A map that is positive nowhere says
        nothing about a place: the image's centre and the whole image.
    """
    if len(class_maps) == 0:
        return class_maps.new_zeros(0, 2, dtype=torch.long), class_maps.new_zeros(0, 4)
    cams = class_activation_maps(class_maps.float()[:, None])
    ones = cams.new_ones(len(cams), 1)
    points = key_points(cams, ones, size, rule="cmax")[:, 0]
    cells = (min(size[0], BOX_CELLS * cams.shape[2]), min(size[1], BOX_CELLS * cams.shape[3]))
    fine = F.interpolate(cams, size=cells, mode="bilinear", align_corners=False)
    # The box is that of the key point, also where a coarser grid would put the maximum on another, nearly equal peak.
    rows, columns = points[:, 0] * cells[0] // size[0], points[:, 1] * cells[1] // size[1]
    highest = fine.amax(dim=(2, 3))[:, 0]
    fine[torch.arange(len(fine), device=fine.device), 0, rows, columns] = highest * (1 + 1e-6)
    found, points = boxes(fine, size, box_threshold)[:, 0], points.flip(1)
    whole = torch.tensor([0, 0, size[1], size[0]], device=found.device, dtype=found.dtype)
    return points, torch.where((found == 0).all(dim=1, keepdim=True), whole, found)


@torch.no_grad()
def label_maps(model: Any, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
    """Where a model looks for each label, whichever its head.

    A Linear model gives its class maps, whose mean is the logit. The others have a query a label (or a group of
    labels): its attention to the places in the last cross-attention layer, mean over the heads. Attention says where
    a query has looked, found or not; it sums to 1.

    Args:
        model: in evaluation mode.
        pixel_values: (B, 3, H, W), as the model's image processor gives them.

    Returns:
        logits (B, C), and maps (B, C, h, w).
    """
    if "class_maps" in model.provides:
        outputs = model(pixel_values, output_class_maps=True)
        return outputs.logits, outputs.class_maps
    outputs = model(pixel_values, output_attentions=True, output_feature_map=True)
    looked = outputs.attentions[-1].mean(dim=1)  # (B, queries, h * w)
    labels, queries = outputs.logits.shape[1], looked.shape[1]
    if queries != labels:  # a query answers for ceil(labels / queries) labels that follow one another
        looked = looked[:, torch.arange(labels, device=looked.device) // -(-labels // queries)]
    return outputs.logits, looked.unflatten(2, outputs.feature_map.shape[-2:])


@torch.no_grad()
def localize_labels(
    model: Any, pixel_values: Tensor, thresholds: float | Sequence[float] | None = None, box_threshold: float = 0.4
) -> list[list[dict[str, Any]]]:
    """The predicted labels of each image with key point and box.

    Args:
        model: in evaluation mode.
        pixel_values: (B, 3, H, W), as the model's image processor gives them.
        thresholds: decision thresholds on the scores, one or one a label; the config's own, else 0.5, when None.
        box_threshold: see `places`.

    Returns:
        For each image a list, highest score first, of {"label": name, "score": in [0, 1], "key_point": (x, y),
        "box": (left, top, right, bottom)}; places are in pixels of `pixel_values`.

    Raises:
        ValueError: for a box threshold or a number of thresholds that makes no sense.
    """
    logits, maps = label_maps(model, pixel_values)
    scores = logits.float().sigmoid()
    predicted = scores >= label_thresholds(model.config, thresholds).to(scores.device)
    images, labels = predicted.nonzero(as_tuple=True)
    size = (pixel_values.shape[-2], pixel_values.shape[-1])
    points, areas = places(maps[images, labels], size, box_threshold)
    found: list[list[dict[str, Any]]] = [[] for _ in range(len(pixel_values))]
    rows = zip(images.tolist(), labels.tolist(), scores[predicted].tolist(), points.tolist(), areas.tolist())
    for image, label, score, point, area in rows:
        name = model.config.id2label[label]
        found[image].append({"label": name, "score": score, "key_point": tuple(point), "box": tuple(area)})
    return [sorted(one_image, key=lambda entry: -entry["score"]) for one_image in found]
