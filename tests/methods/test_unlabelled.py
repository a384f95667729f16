"""Images without labels: the teacher is heard on them, and nobody else."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mlic_hf.methods.base import Weighted
from mlic_hf.methods.l2d import L2DConfig
from mlic_hf.methods.l2d.method import l2d_objectives
from mlic_hf.methods.psd.config import PSDConfig
from mlic_hf.methods.psd.method import psd_objectives
from mlic_hf.methods.teachers import ModelTeacher
from mlic_hf.methods.views import PixelSpec
from tests.methods.test_teacher_cache import parts
from tests.methods.tiny import NAMES, tiny_batch, tiny_decoder, tiny_linear
from tests.methods.together import Together

# one loss of every kind: on labels, on labels and teacher, on the teacher alone (three reductions)
L2D = L2DConfig(weight_class_aware=1.0, weight_instance_aware=1.0, weight_partial_softmax=1.0, weight_symmetric=1.0)
LABELS_ALONE = {"bce", "asl", "class_aware", "instance_aware", "partial_softmax"}


def together(name: str) -> Together:
    student: Any = tiny_decoder(7).eval() if name == "l2d" else tiny_linear(7).eval()
    teacher: Any = ModelTeacher(tiny_decoder(3), NAMES) if name == "l2d" else parts()
    objectives: list[Weighted] = list(
        l2d_objectives(L2D, student, teacher)
        if name == "l2d"
        else psd_objectives(PSDConfig(divergence_reduction="mean" if name == "psd mean" else "sum"), student, teacher)
    )
    return Together(student, objectives, teacher, PixelSpec.of_model(student))


def mixed() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Eight images, the last three of which have no labels."""
    pixels, labels = tiny_batch()
    unlabelled = torch.arange(8) >= 5
    return pixels, labels.masked_fill(unlabelled[:, None], -1.0), unlabelled


@pytest.mark.parametrize("name", ["l2d", "psd", "psd mean"])
def test_losses_on_labels_leave_them_out_and_those_on_the_teacher_take_them_in(name: str) -> None:
    both = together(name)
    pixels, labels, unlabelled = mixed()
    found = both(pixels, labels, unlabelled=unlabelled)
    without = both(pixels[:5], labels[:5])
    # what the teacher alone says is what it says of images whose cells are known
    known = both(pixels, labels.masked_fill(unlabelled[:, None], 0.0))
    for part in both.objectives:
        other = without if part in LABELS_ALONE else known
        torch.testing.assert_close(found[part], other[part], rtol=1e-5, atol=1e-6)
        assert part in LABELS_ALONE or not torch.isclose(found[part], without[part], rtol=1e-3)


@pytest.mark.parametrize("name", ["l2d", "psd", "psd mean"])
def test_the_reduction_rule_holds(name: str) -> None:
    both = together(name)
    if name == "l2d":  # of which CD compares the images of a batch
        del both.objectives["class_aware"]
    pixels, labels, unlabelled = mixed()
    whole = both(pixels, labels, unlabelled=unlabelled)["loss"]
    places = [[0, 5, 6], [1, 2, 3, 4], [7]]
    totals = sum(both.counts(labels[own], unlabelled[own]) for own in places)
    cut = sum(both(pixels[own], labels[own], unlabelled=unlabelled[own], totals=totals)["loss"] for own in places)
    torch.testing.assert_close(cut, whole, rtol=1e-5, atol=1e-6)


def test_images_whose_labels_are_unknown_still_take_no_part() -> None:
    both = together("l2d")
    pixels, labels, unlabelled = mixed()
    nobody = both(pixels, labels, unlabelled=torch.zeros_like(unlabelled))
    plain, without = both(pixels, labels), both(pixels[:5], labels[:5])
    torch.testing.assert_close(nobody["loss"], plain["loss"])
    torch.testing.assert_close(plain["loss"], without["loss"], rtol=1e-5, atol=1e-6)


def test_a_batch_of_unlabelled_images_alone_has_a_finite_loss_and_gradient() -> None:
    both = together("psd")
    pixels, labels, unlabelled = mixed()
    found = both(pixels[5:], labels[5:], unlabelled=unlabelled[5:])
    found["loss"].backward()
    assert found["asl"] == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in both.student.parameters())
    assert found["cgp"] > 0
