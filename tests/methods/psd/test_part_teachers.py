"""Teachers of parts: label order by name, stacking."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mlic_hf.methods.psd.config import PSDConfig
from mlic_hf.methods.psd.method import psd_objectives
from mlic_hf.methods.psd.part_teachers import PartTeachers, same_backbone
from mlic_hf.methods.psd.partition import Partition
from mlic_hf.methods.teachers import ModelTeacher
from tests.methods.tiny import NAMES, tiny_batch, tiny_linear

PARTS = (("dog", "ant"), ("bee", "cat", "eel"))
PARTITION = Partition("cgp", tuple(NAMES), PARTS, None, 0, "spectral", "test")


def teachers(**changes: object) -> list[ModelTeacher]:
    return [ModelTeacher(tiny_linear(seed, list(part)), part) for seed, part in enumerate(PARTS)]


def part_teachers(stacked: bool = False) -> PartTeachers:
    return PartTeachers({"cgp": teachers()}, {"cgp": PARTITION}, NAMES, stacked)


def test_logits_return_to_the_label_order_by_name() -> None:
    both = part_teachers()
    pixels, _ = tiny_batch()
    found = both(pixels, both.pixels)["cgp"]
    for teacher, part in zip(both.teachers["cgp"], PARTS):
        own = teacher.model(pixels).logits
        for position, name in enumerate(part):
            torch.testing.assert_close(found[:, NAMES.index(name)], own[:, position])


def test_stacked_backbones_answer_the_same() -> None:
    pixels, _ = tiny_batch()
    one_by_one, stacked = part_teachers(), part_teachers(stacked=True)
    expected = one_by_one(pixels, one_by_one.pixels)["cgp"]
    torch.testing.assert_close(stacked(pixels, stacked.pixels)["cgp"], expected, rtol=1e-4, atol=1e-5)


def test_a_backbone_that_teachers_share_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, _ = tiny_batch(3)
    models = teachers()
    backbone = models[0].model.backbone
    models[1].model.backbone.load_state_dict(backbone.state_dict())
    expected = [teacher(pixels, teacher.pixels).logits for teacher in models]
    together = PartTeachers({"cgp": models}, {"cgp": PARTITION}, NAMES)
    calls = []
    plain = type(backbone).forward
    monkeypatch.setattr(type(backbone), "forward", lambda *a, **k: (calls.append(1), plain(*a, **k))[1])
    found = together(pixels, together.pixels)["cgp"]
    assert len(calls) == 1
    for own, place in zip(expected, together.positions["cgp"]):
        torch.testing.assert_close(found[:, place], own)
    assert part_teachers().together is None


def test_stacked_teachers_compute_in_the_precision_around_them() -> None:
    pixels, _ = tiny_batch()
    one_by_one, stacked = part_teachers(), part_teachers(stacked=True)
    exact = stacked(pixels, stacked.pixels)["cgp"]
    with torch.autocast("cpu", torch.bfloat16):
        rough = stacked(pixels, stacked.pixels)["cgp"]
        expected = one_by_one(pixels, one_by_one.pixels)["cgp"]
    assert (rough != exact).any()
    torch.testing.assert_close(rough.float(), expected.float(), rtol=0.05, atol=0.02)


def test_teachers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="has 2 parts, but 1 teachers were given"):
        PartTeachers({"cgp": teachers()[:1]}, {"cgp": PARTITION}, NAMES)
    with pytest.raises(ValueError, match="belong to another partition"):
        PartTeachers({"cgp": teachers()[::-1]}, {"cgp": PARTITION}, NAMES)
    with pytest.raises(ValueError, match="does not fit these 4"):
        PartTeachers({"cgp": teachers()}, {"cgp": PARTITION}, NAMES[:4])
    larger = ModelTeacher(tiny_linear(1, list(PARTS[1]), image_size=48), PARTS[1])
    with pytest.raises(ValueError, match=r"different image sizes \[32, 48\]"):
        PartTeachers({"cgp": [teachers()[0], larger]}, {"cgp": PARTITION}, NAMES)


def test_weights_of_one_and_two_partitions() -> None:
    student = tiny_linear()
    two = psd_objectives(PSDConfig(alpha=0.3, weight_hard=0.6), student)
    assert [(w.objective.name, round(w.weight, 6)) for w in two] == [("asl", 0.6), ("cgp", 0.12), ("dgp", 0.28)]
    one = psd_objectives(PSDConfig(kinds=["random"]), student)
    assert [(w.objective.name, w.weight) for w in one] == [("asl", 0.5), ("random", 0.5)]


@pytest.mark.parametrize(
    "changes", [{"divergence": "l1"}, {"kinds": []}, {"kinds": ["cgp", "cgp"]}, {"alpha": 2}, {"parts": 0}]
)
def test_wrong_settings_are_refused(changes: dict) -> None:
    with pytest.raises(ValueError, match="psd"):
        PSDConfig(**changes)


def test_models_without_a_backbone_share_none() -> None:
    bare: Any = [SimpleNamespace(model=torch.nn.Linear(2, 1)) for _ in range(2)]
    assert not same_backbone(bare)
    alike: Any = [SimpleNamespace(model=torch.nn.ModuleDict({"backbone": torch.nn.Linear(2, 1)})) for _ in range(2)]
    assert not same_backbone(alike)
    alike[1].model.load_state_dict(alike[0].model.state_dict())
    assert same_backbone(alike)
