from __future__ import annotations

from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mlic_hf.data import (
    FeatureMaps,
    LabelSpace,
    MultiLabelDataset,
    build_transform,
    compute_feature_maps,
    feature_maps,
    transform_preset,
)
from tests.data.pictures import rows_of

SPACE = LabelSpace(["a", "b", "c", "d"])


class Backbone:
    """A stand-in that counts how often it is asked."""

    def __init__(self, scale: float = 1.0) -> None:
        self.calls, self.scale = 0, scale

    def __call__(self, pixels: Tensor) -> Tensor:
        self.calls += 1
        return self.scale * F.avg_pool2d(pixels, 8)


def images(count: int = 10, **options: Any) -> MultiLabelDataset:
    rows = [row | {"ignored": [3]} for row in rows_of(count, labels=3)]
    return MultiLabelDataset(rows, SPACE, build_transform(transform_preset("psd", 24)), **options)


def test_epoch_e_shows_view_e_mod_v_as_drawn_in_that_epoch(tmp_path: Path) -> None:
    source = images()
    kept = compute_feature_maps(source, Backbone(), tmp_path, views=2, batch_size=4)
    assert len(kept) == 10
    for epoch in range(4):
        kept.set_epoch(epoch)
        source.set_epoch(epoch % 2)
        for index in (0, 3, 9):
            example, pixels = kept[index], source[index]["pixel_values"]
            assert torch.equal(example["feature_map"], Backbone()(pixels[None])[0].half().float())
            assert torch.equal(example["labels"], source[index]["labels"])
            assert example["image_id"] == source[index]["image_id"]
    kept.set_epoch(0)
    first = kept[0]["feature_map"]
    kept.set_epoch(1)
    assert not torch.equal(first, kept[0]["feature_map"])


def test_a_pair_is_two_draws_another_one_each_turn(tmp_path: Path) -> None:
    source = images()
    compute_feature_maps(source, Backbone(), tmp_path, views=3)
    pairs, plain = FeatureMaps(source, tmp_path, 3, pairs=True), FeatureMaps(source, tmp_path, 3)
    met = []
    for epoch in range(6):
        pairs.set_epoch(epoch)
        example, drawn = pairs[4], []
        for view in range(3):
            plain.set_epoch(view)
            drawn.append(plain[4]["feature_map"])
        assert "second_view" not in plain[4]
        assert example["view"] == epoch % 3
        met.append(
            [[torch.equal(example[key], one) for one in drawn].index(True) for key in ("feature_map", "second_view")]
        )
    assert met == [[0, 1], [1, 2], [2, 0], [0, 2], [1, 0], [2, 1]]
    with pytest.raises(ValueError, match="another of its draws, but views is 1"):
        FeatureMaps(source, tmp_path, 1, pairs=True)


def test_only_missing_views_are_computed(tmp_path: Path) -> None:
    backbone = Backbone()
    compute_feature_maps(images(), backbone, tmp_path, views=2, batch_size=5)
    assert backbone.calls == 4
    (tmp_path / "view_1.npy").rename(tmp_path / "view_1.unfinished")  # as a killed run leaves it
    with pytest.raises(FileNotFoundError, match="lacks the feature maps of view 1"):
        FeatureMaps(images(), tmp_path, 2)
    again = compute_feature_maps(images(), backbone, tmp_path, views=3, batch_size=5)
    assert backbone.calls == 8
    assert len(again.maps) == 3
    assert not list(tmp_path.glob("*.unfinished"))
    with pytest.raises(ValueError, match="the feature maps of other images: 10, and here are 9"):
        FeatureMaps(images(9), tmp_path, 3)


def test_what_float16_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too large for float16"):
        compute_feature_maps(images(), Backbone(scale=1e6), tmp_path)
    assert not (tmp_path / "view_0.npy").exists()


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", ["free"])
    monkeypatch.setattr(feature_maps.shutil, "disk_usage", lambda folder: usage(100))
    with pytest.raises(ValueError, match="2 views of 10 feature maps of 3x3x3 numbers take"):
        compute_feature_maps(images(), Backbone(), tmp_path, views=2)
    assert not list(tmp_path.iterdir())
