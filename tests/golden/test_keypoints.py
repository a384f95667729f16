"""OASS's class activation maps, key points, cut, merge and losses against the original's numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mlic_hf import losses
from mlic_hf.modeling.class_maps_mlic import (
    class_activation_maps,
    cut_in_four,
    highest_local_maxima,
    key_points,
    merge_four,
)
from tests.golden.cases import load, params


def relative_error(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("name", params("oass_keypoints_ctopk_w"))
def test_key_points(name: str) -> None:
    case, spec = load(name)
    cams = class_activation_maps(case["class_maps"])
    assert relative_error(cams, case["cams"]) < 1e-4
    points = key_points(case["cams"], case["targets"], spec["image_size"], "ctopk_w", spec["k"])
    assert torch.equal(points, case["keypoints"])


@pytest.mark.parametrize("name", params("oass_keypoints_ctopk_w"))
def test_number_of_local_maxima(name: str) -> None:
    case, spec = load(name)
    present = case["targets"] > 0
    size = spec["image_size"]
    resized = F.interpolate(case["cams"][present][:, None], size=(size, size), mode="bilinear")[:, 0]
    responses, _ = highest_local_maxima(resized, 100, spec["min_distance"])
    assert torch.equal((responses > 0).sum(dim=1), case["num_peaks"][present])


@pytest.mark.parametrize("name", params("oass_step"))
def test_cut_merge_and_losses(name: str) -> None:
    case, spec = load(name)
    labels = case["classes"]
    owners = torch.zeros_like(labels)
    points = case["keypoints"][owners, labels]

    def network(images: Tensor) -> Tensor:
        hidden = F.conv2d(images, case["state.0.weight"], case["state.0.bias"], stride=spec["stride"])
        return F.conv2d(hidden.relu(), case["state.2.weight"])

    image = case["image"].float() / 255
    class_maps = network(image)
    assert relative_error(class_maps, case["features"]) < 1e-4
    pieces = cut_in_four(image, owners, points)
    assert pieces.shape[-2:] == (spec["patch_size"], spec["patch_size"])
    pieces = network(pieces.flatten(0, 1)).unflatten(0, (-1, 4))
    merged = merge_four(pieces, points, spec["stride"], (class_maps.shape[-2], class_maps.shape[-1]))
    assert relative_error(merged, case["merged"]) < 1e-4
    partial = losses.partial_class_loss(merged, labels)
    rebuilt = losses.reconstruction_loss(class_maps, merged, owners, labels)
    assert relative_error(partial, case["partial_class_loss"]) < 1e-4
    assert relative_error(rebuilt, case["reconstruction_loss"]) < 1e-4
