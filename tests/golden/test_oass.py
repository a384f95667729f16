"""OASS: key points and one step against the original's numbers, through the method's own code."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mlic_hf.methods.base import MethodBatch
from mlic_hf.methods.oass import OASSConfig, cut_and_merge, oass_objectives
from mlic_hf.methods.oass.cut_and_merge import CutAndMerge
from mlic_hf.modeling.class_maps_mlic import class_activation_maps, highest_local_maxima, key_points
from tests.golden import cases
from tests.methods.together import Together


class Network(nn.Module):
    """The network of the golden steps, with the face of a model of this library."""

    provides = frozenset({"class_maps"})

    def __init__(self, case: dict[str, Tensor]) -> None:
        super().__init__()
        classes = len(case["state.2.weight"])
        convolutions = nn.Conv2d(3, 8, 16, stride=16), nn.ReLU(), nn.Conv2d(8, classes, 1, bias=False)
        self.layers = nn.Sequential(*convolutions)
        self.layers.load_state_dict({k.removeprefix("state."): v for k, v in case.items() if k.startswith("state.")})
        self.config = SimpleNamespace(image_size=512)
        self.backbone = SimpleNamespace(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), interpolation="bilinear")

    def forward(self, pixels: Tensor, output_class_maps: bool = False) -> Any:
        maps = self.layers(pixels)
        return SimpleNamespace(logits=maps.mean(dim=(2, 3)), class_maps=maps)


@pytest.mark.parametrize("name", cases.params("oass_keypoints_ctopk_w"))
def test_key_points(name: str) -> None:
    case, facts = cases.load(name)
    cams = class_activation_maps(case["class_maps"])
    torch.testing.assert_close(cams, case["cams"], rtol=1e-6, atol=1e-7)
    found = key_points(cams, case["targets"], facts["image_size"], "ctopk_w", facts["k"])
    assert torch.equal(found, case["keypoints"])


@pytest.mark.parametrize("name", cases.params("oass_keypoints_ctopk_w"))
def test_all_local_maxima_are_found(name: str) -> None:
    case, facts = cases.load(name)
    true = case["targets"] > 0
    size = (facts["image_size"], facts["image_size"])
    resized = nn.functional.interpolate(case["cams"], size=size, mode="bilinear")[true]
    responses, _ = highest_local_maxima(resized, 100, facts["min_distance"])
    assert torch.equal((responses > 0).sum(dim=1), case["num_peaks"][true])


@pytest.mark.parametrize("name", cases.params("oass_step"))
@pytest.mark.parametrize("gradient", ["none", "online"])
def test_step(name: str, gradient: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case, _ = cases.load(name)
    # the case gives key points that belong to other maps
    monkeypatch.setattr(cut_and_merge, "key_points", lambda *args: case["keypoints"])
    network = Network(case)
    pixels = case["image"].float() / 255
    method = Together(network, oass_objectives(OASSConfig(gradient=gradient, chunk_size=4), network))
    method.progress = 1.0
    outputs = method(pixels, case["targets"])
    torch.testing.assert_close(outputs["partial_class"], case["partial_class_loss"], rtol=1e-4, atol=0)
    torch.testing.assert_close(outputs["reconstruction"], case["reconstruction_loss"], rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", cases.params("oass_step"))
def test_merged_maps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case, _ = cases.load(name)
    monkeypatch.setattr(cut_and_merge, "key_points", lambda *args: case["keypoints"])
    network = Network(case)
    pixels = case["image"].float() / 255
    batch = MethodBatch(pixels, case["targets"], network(pixels), network, progress=1.0)
    cuts = CutAndMerge(OASSConfig(), network).of_batch(batch)
    assert torch.equal(cuts.labels, case["classes"])
    torch.testing.assert_close(batch.student.class_maps, case["features"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(cuts.merged, case["merged"], rtol=1e-4, atol=1e-5)
