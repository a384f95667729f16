"""Class activation maps, key points, cut, merge and boxes against per-map loops and exact small cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mlic_hf.modeling.class_maps_mlic import (
    boxes,
    class_activation_maps,
    cut_in_four,
    highest_local_maxima,
    key_points,
    local_maxima,
    merge_four,
    scaled_min_distance,
)

peak = pytest.importorskip("skimage.feature")


def loop_points(cam: Tensor, size: tuple[int, int], rule: str, k: int = 5) -> list[int]:
    """The published rule on one CAM with scikit-image."""
    big = F.interpolate(cam[None, None], size=size, mode="bilinear")[0, 0].numpy()
    if rule == "cmax":
        point = np.unravel_index(big.argmax(), big.shape)
    else:
        distance = scaled_min_distance(size)
        found = peak.peak_local_max(big, min_distance=distance, num_peaks=k)
        if len(found) == 0:
            return [size[0] // 2, size[1] // 2]
        response = big[tuple(found.T)]
        if rule == "ctopk_w":
            point = (found * (response / response.sum())[:, None]).astype(np.int64).sum(axis=0)
        else:
            point = np.floor(found.mean(axis=0) + 1e-6).astype(np.int64)
    return [size[0] // 2, size[1] // 2] if 0 in point else [int(value) for value in point]


@pytest.mark.parametrize("rule", ["cmax", "ctopk", "ctopk_w"])
@pytest.mark.parametrize("size, cells", [((512, 512), (32, 32)), ((160, 224), (7, 9)), ((64, 64), (2, 2))])
def test_key_points_are_those_of_the_loop(rule: str, size: tuple[int, int], cells: tuple[int, int]) -> None:
    cams = class_activation_maps(torch.randn(3, 4, *cells))
    targets = torch.tensor([[1.0, 0, -1, 1], [0, 0, 0, 0], [1, 1, 1, 1]])
    points = key_points(cams, targets, size, rule)
    assert (points[targets <= 0] == -1).all()
    for image, label in (targets > 0).nonzero().tolist():
        expected = loop_points(cams[image, label], size, rule)
        # the k terms are cut to whole pixels: a last-digit difference of a product may move one of them
        assert (points[image, label] - torch.tensor(expected)).abs().max() <= 1


def test_max_is_one_point_an_image() -> None:
    cams = torch.zeros(2, 3, 4, 4)
    cams[0, 0, 1, 2], cams[0, 1, 3, 3], cams[0, 2, 0, 0] = 0.9, 0.95, 1.0
    targets = torch.tensor([[1.0, 1, 0], [0, 0, 1]])
    points = key_points(cams, targets, 64, "max")
    assert torch.equal(points[0, 0], points[0, 1])
    assert (points[0, 0] >= 48).all()
    assert points[0, 2].tolist() == [-1, -1]
    assert points[1, 2].tolist() == [32, 32]  # an empty map: the centre


def test_plateaus_are_thinned_as_scikit_image_does() -> None:
    maps = torch.zeros(3, 60, 60)
    maps[0, 20:35, 20:40] = 1.0
    maps[0, 45, 45] = 0.5
    maps[1, 10, 10:50] = 2.0
    maps[2] = torch.randint(0, 3, (60, 60)).float()
    responses, coordinates = highest_local_maxima(maps, 40, 4)
    for number in range(3):
        expected = peak.peak_local_max(maps[number].numpy(), min_distance=4)
        count = int((responses[number] > 0).sum())
        assert coordinates[number, :count].tolist() == expected.tolist()[:40]
    assert not local_maxima(torch.ones(1, 60, 60), 4).any()
    assert not local_maxima(torch.rand(1, 6, 6), 4).any()


def test_cams() -> None:
    maps = torch.tensor([[[[-1.0, 2], [4, 0]]], [[[-1, -2], [-4, 0]]]])
    expected = torch.tensor([[0, 2 - 1e-5], [4 - 1e-5, 0]]) / (4 + 1e-5)
    torch.testing.assert_close(class_activation_maps(maps)[0, 0], expected)
    assert (class_activation_maps(maps)[1] == 0).all()


@pytest.mark.parametrize("size", [(32, 32), (30, 45)])
def test_cut_is_four_nearest_resizes(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size)
    owners, points = torch.tensor([1, 0, 1]), torch.tensor([[1, 1], [13, 20], [size[0] - 1, size[1] - 2]])
    pieces = cut_in_four(images, owners, points)
    out = (size[0] // 2, size[1] // 2)
    for cut, (owner, (row, column)) in enumerate(zip(owners.tolist(), points.tolist())):
        image = images[owner]
        quarters = [image[:, :row, :column], image[:, :row, column:], image[:, row:, :column], image[:, row:, column:]]
        for number, quarter in enumerate(quarters):
            assert torch.equal(pieces[cut, number], F.interpolate(quarter[None], out, mode="nearest")[0])


def test_merge_is_four_nearest_resizes_with_a_gradient() -> None:
    pieces = torch.randn(4, 4, 3, 5, 6, requires_grad=True)
    points = torch.tensor([[0, 0], [50, 77], [159, 191], [80, 16]])
    merged = merge_four(pieces, points, 16, (10, 12))
    expected = torch.empty_like(merged)
    for cut, (row, column) in enumerate((points // 16).tolist()):
        row, column = min(max(row, 1), 9), min(max(column, 1), 11)
        places = [
            (slice(0, row), slice(0, column)),
            (slice(0, row), slice(column, 12)),
            (slice(row, 10), slice(0, column)),
            (slice(row, 10), slice(column, 12)),
        ]
        for number, (rows, columns) in enumerate(places):
            out = (rows.stop - rows.start, columns.stop - columns.start)
            piece = F.interpolate(pieces[cut : cut + 1, number], out, mode="nearest")[0]
            expected[cut, :, rows, columns] = piece
    assert torch.equal(merged, expected)
    gradient = torch.autograd.grad(merged.sum(), pieces)[0]
    assert gradient.sum() == merged.numel()


def test_boxes_hold_the_peak_s_own_component() -> None:
    cams = torch.zeros(1, 3, 8, 8)
    cams[0, 0, 2:4, 1:5] = 0.8
    cams[0, 0, 3, 2] = 1.0
    cams[0, 0, 6:, 6:] = 0.9  # a second object: not connected to the peak
    cams[0, 0, 4, 5] = 0.7  # touches by a corner
    cams[0, 1, 0, 7] = 1.0
    found = boxes(cams, (80, 160), threshold=0.5)
    assert found[0, 0].tolist() == [20.0, 20.0, 120.0, 50.0]
    assert found[0, 1].tolist() == [140.0, 0.0, 160.0, 10.0]
    assert found[0, 2].tolist() == [0.0, 0.0, 0.0, 0.0]


def test_refused() -> None:
    with pytest.raises(ValueError, match='rule is "top"'):
        key_points(torch.zeros(1, 1, 2, 2), torch.ones(1, 1), 32, "top")
    with pytest.raises(ValueError, match="threshold is 0"):
        boxes(torch.zeros(1, 1, 2, 2), 32, 0)


def test_no_label_no_point() -> None:
    assert (key_points(torch.rand(2, 3, 4, 4), torch.zeros(2, 3), 64) == -1).all()
    empty = torch.zeros(0, dtype=torch.long)
    assert cut_in_four(torch.rand(1, 3, 8, 8), empty, torch.zeros(0, 2, dtype=torch.long)).shape == (0, 4, 3, 4, 4)
