"""Key points and boxes of predicted labels, on class maps that are made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mlic_hf.modeling.localize_mlic import localize_labels, places
from tests.methods.mulcon.models import NAMES
from tests.methods.oass.models import student_of


def blob(row: int, column: int, cells: int = 8, value: float = 4.0) -> torch.Tensor:
    """A map with one cell that is high."""
    maps = torch.full((cells, cells), -1.0)
    maps[row, column] = value
    return maps


class Drawn:
    """A model that answers with given class maps."""

    provides = frozenset({"class_maps"})

    def __init__(self, maps: torch.Tensor, logits: torch.Tensor, thresholds: Any = None) -> None:
        self.answer = SimpleNamespace(class_maps=maps, logits=logits)
        names = dict(enumerate(("ant", "bee", "cat")))
        self.config = SimpleNamespace(thresholds=thresholds, num_labels=3, id2label=names)

    def __call__(self, pixels: torch.Tensor, output_class_maps: bool) -> Any:
        assert output_class_maps
        return self.answer


def test_key_point_and_box_surround_the_high_cell() -> None:
    points, found = places(torch.stack([blob(2, 5), blob(7, 1)]), (64, 64))
    assert ((points.float() - torch.tensor([[44.0, 20.0], [12.0, 60.0]])).abs() <= 4).all()
    left, top, right, bottom = found.unbind(1)
    assert (left <= points[:, 0]).all()
    assert (points[:, 0] <= right).all()
    assert (top <= points[:, 1]).all()
    assert (points[:, 1] <= bottom).all()
    # a single cell of 8 px falls to 0.4 of its height 0.6 cells from its centre
    assert ((right - left)[0] - 10).abs() <= 4
    assert ((bottom - top)[0] - 10).abs() <= 4


def test_the_box_holds_one_of_two_separate_objects() -> None:
    both = torch.maximum(blob(1, 1), blob(6, 6, value=3.0))
    _, found = places(both[None], (80, 80))
    assert found[0].max() < 40


def test_places_follow_the_size_of_the_image() -> None:
    points, found = places(blob(2, 5)[None], (32, 160))
    assert abs(points[0, 0] - 110) <= 10
    assert abs(points[0, 1] - 10) <= 2
    assert found[0, 2] > found[0, 3]


def test_a_map_without_a_positive_place_says_nothing() -> None:
    points, found = places(torch.full((1, 4, 4), -1.0), (64, 96))
    assert points.tolist() == [[48, 32]]
    assert found.tolist() == [[0, 0, 96, 64]]


def test_predicted_labels_come_highest_first_with_their_own_thresholds() -> None:
    maps = torch.stack([torch.stack([blob(1, 1), blob(2, 6), blob(5, 3)]), torch.zeros(3, 8, 8)])
    logits = torch.tensor([[0.5, 2.0, -1.0], [-3.0, -3.0, -3.0]])
    pixels = torch.zeros(2, 3, 64, 64)
    found = localize_labels(Drawn(maps, logits), pixels)
    assert [entry["label"] for entry in found[0]] == ["bee", "ant"]
    assert found[0][0]["score"] == pytest.approx(torch.tensor(2.0).sigmoid().item())
    assert abs(found[0][0]["key_point"][0] - 52) <= 4
    assert abs(found[0][0]["key_point"][1] - 20) <= 4
    assert found[1] == []
    config_decides = localize_labels(Drawn(maps, logits, [0.9, 0.9, 0.1]), pixels)
    assert [entry["label"] for entry in config_decides[0]] == ["cat"]
    flag_decides = localize_labels(Drawn(maps, logits, [0.9, 0.9, 0.1]), pixels, thresholds=0.0)
    assert [len(entries) for entries in flag_decides] == [3, 3]


def test_a_real_model_localizes_what_it_predicts() -> None:
    found = student_of().localize(torch.randn(2, 3, 64, 64), thresholds=0.0)
    assert [sorted(entry["label"] for entry in entries) for entries in found] == [sorted(NAMES)] * 2
    for entry in found[0] + found[1]:
        left, top, right, bottom = entry["box"]
        assert 0 <= left < right <= 64
        assert 0 <= top < bottom <= 64


def test_wrong_thresholds_are_refused() -> None:
    model = Drawn(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="2 numbers for 3 labels"):
        localize_labels(model, torch.zeros(1, 3, 8, 8), thresholds=[0.5, 0.5])
    with pytest.raises(ValueError, match="share of the maximum"):
        localize_labels(model, torch.zeros(1, 3, 8, 8), thresholds=0.0, box_threshold=0.0)


@pytest.mark.parametrize("cells, size", [(4, (64, 64)), (7, (224, 224)), (9, (100, 61))])
def test_the_key_point_lies_in_its_box(cells: int, size: tuple[int, int]) -> None:
    points, found = places(torch.randn(50, cells, cells), size)
    assert ((points + 0.5 >= found[:, :2]) & (points + 0.5 <= found[:, 2:])).all()
