"""OASS's objectives: the pair-by-pair loop, the ramp, what carries a gradient, images with no and many labels."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from torch import Tensor

from mlic_hf.methods.oass import OASSConfig, oass_objectives
from mlic_hf.methods.oass.cut_and_merge import CutAndMerge
from mlic_hf.methods.oass.method import PartialClass, Reconstruction
from mlic_hf.methods.registry import extra_objectives, get_method
from tests.methods.mulcon.models import tiny
from tests.methods.oass.models import FIELDS, seen, some_labels, student_of
from tests.methods.oass.per_pair import losses_by_pair
from tests.methods.together import Together


def both_losses(student: Any, batch: Any, **changes: Any) -> tuple[Tensor, Tensor]:
    """Partial class and reconstruction loss, averaged over the cuts."""
    shared = CutAndMerge(OASSConfig(**changes), student)
    first, second = PartialClass(shared), Reconstruction(shared)
    count = first.count(batch.labels)
    return first(batch) / count, second(batch) / count


@pytest.mark.parametrize("rule", ["max", "cmax", "ctopk", "ctopk_w"])
@pytest.mark.parametrize("side, stride", [(64, 16), (64, 32), (72, 16), (91, 8)])
def test_the_batch_equals_the_loop_over_pairs(rule: str, side: int, stride: int) -> None:
    student = student_of(stride)
    batch = seen(student, some_labels(), side)
    expected = losses_by_pair(student, batch.pixel_values, batch.student.class_maps, batch.labels, rule)
    found = both_losses(student, batch, key_points=rule, chunk_size=3)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("chunk_size", [1, 2, 5, 1000])
def test_the_chunk_size_changes_nothing(chunk_size: int) -> None:
    student = student_of()
    batch = seen(student, some_labels(5))
    whole = both_losses(student, batch, chunk_size=100, key_points="cmax")
    torch.testing.assert_close(both_losses(student, batch, chunk_size=chunk_size, key_points="cmax"), whole)


def test_a_vision_transformer_has_a_map_that_can_be_cut() -> None:
    torch.manual_seed(7)
    student = type(tiny("Linear")).from_timm("test_vit", list("abcdef"), pretrained=False, image_size=64, **FIELDS)
    batch = seen(student.eval(), some_labels(), 64)
    expected = losses_by_pair(student, batch.pixel_values, batch.student.class_maps, batch.labels)
    torch.testing.assert_close(both_losses(student, batch, chunk_size=8), expected, rtol=1e-4, atol=1e-6)


def test_both_losses_share_one_computation_which_ends_with_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    student = student_of()
    calls = []
    original = CutAndMerge._compute
    monkeypatch.setattr(CutAndMerge, "_compute", lambda self, b: calls.append(1) or original(self, b))
    shared = CutAndMerge(OASSConfig(chunk_size=4), student)
    for _ in range(2):
        batch = seen(student, some_labels())
        PartialClass(shared)(batch)
        Reconstruction(shared)(batch)
        del batch
    gc.collect()
    assert len(calls) == 2
    assert shared.of_batch._found is None


def test_alpha_re_rises_linearly_over_the_first_share_of_the_run() -> None:
    student = student_of()
    shared = CutAndMerge(OASSConfig(chunk_size=4), student)
    objective = Reconstruction(shared, ramp=0.05)
    full = objective(seen(student, some_labels(), progress=1.0)).item()
    assert full > 0
    for progress, share in ((0.0, 0.0), (0.0125, 0.25), (0.05, 1.0), (0.6, 1.0)):
        value = objective(seen(student, some_labels(), progress=progress)).item()
        assert value == pytest.approx(share * full, rel=1e-5)
    assert Reconstruction(shared, ramp=0.0).share(0.0) == 1.0
    assert OASSConfig().ramp == 0.05
    assert [w.weight for w in oass_objectives(OASSConfig(), student)] == [1.0, 0.5, 3.0]


def test_the_partial_loss_only_measures_unless_the_gradient_goes_online() -> None:
    student = student_of().train()
    batch = seen(student, some_labels())
    partial, reconstruction = both_losses(student, batch, chunk_size=4)
    assert not partial.requires_grad
    assert reconstruction.requires_grad
    partial, _ = both_losses(student, batch, chunk_size=4, gradient="online")
    partial.backward()
    weight = student.head.classifier.weight.grad
    assert weight is not None
    assert weight.abs().sum() > 0
    norms = [m for m in student.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(m.training for m in norms), "the model's modes are given back after the cuts"


def test_online_cuts_leave_the_batch_norm_statistics_alone() -> None:
    student = student_of().train()
    batch = seen(student, some_labels())
    before = [buffer.clone() for buffer in student.buffers()]
    both_losses(student, batch, gradient="online")
    assert all(torch.equal(a, b) for a, b in zip(before, student.buffers()))


@pytest.mark.parametrize("rows", [[[0] * 6, [0] * 6], [[-1] * 6, [0, 1, -1, 0, 0, 0]], [[1] * 6, [0] * 6]])
@pytest.mark.parametrize("gradient", ["none", "online"])
def test_images_with_no_one_or_all_labels_train(rows: list[list[int]], gradient: str) -> None:
    student = student_of()
    method = Together(student, oass_objectives(OASSConfig(gradient=gradient), student))
    method.progress = 0.5
    outputs = method(torch.randn(2, 3, 64, 64), torch.tensor(rows).float())
    outputs["loss"].backward()
    assert torch.isfinite(outputs["loss"])
    assert [name for name, p in method.named_parameters() if p.grad is None] == []


def test_the_total_is_the_papers() -> None:
    student = student_of()
    method = Together(student, oass_objectives(OASSConfig(), student))
    method.progress = 0.025
    batch = seen(student, some_labels())
    found = method(batch.pixel_values, batch.labels)
    partial, reconstruction = losses_by_pair(student, batch.pixel_values, batch.student.class_maps, batch.labels)
    logits, known = batch.student.logits, batch.labels >= 0
    cells = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.labels.clamp(min=0), reduction="none")
    margin = ((cells * known).sum(1) / known.sum(1)).mean()
    torch.testing.assert_close(found["soft_margin"], margin)
    torch.testing.assert_close(found["loss"], margin + 0.5 * partial + 1.5 * reconstruction, rtol=1e-4, atol=1e-6)


def test_micro_batches_add_up_to_the_batch() -> None:
    student = student_of()
    method = Together(student, oass_objectives(OASSConfig(), student))
    method.progress = 1.0
    batch = seen(student, some_labels(5))
    whole = method(batch.pixel_values, batch.labels)["loss"]
    totals = method.counts(batch.labels)
    parts = [method(batch.pixel_values[c], batch.labels[c], totals=totals)["loss"] for c in (slice(2), slice(2, 5))]
    torch.testing.assert_close(sum(parts), whole, rtol=1e-5, atol=1e-6)


def test_the_copy_is_neither_trained_nor_part_of_the_methods_state() -> None:
    student = student_of()
    method = Together(student, oass_objectives(OASSConfig(), student))
    assert {id(p) for p in method.parameters()} == {id(p) for p in student.parameters()}
    assert not any("averaged" in name for name in method.state_dict())
    assert list(method.companions()) == ["partial_class.averaged"]


def test_other_methods_borrow_one_loss() -> None:
    student = student_of()
    borrowed = extra_objectives({"oass.reconstruction": 3.0}, student, None)
    supervised = get_method("supervised")
    method = Together(student, [*supervised.objectives(supervised.config(), student, None), *borrowed])
    method.progress = 1.0
    assert method(torch.randn(4, 3, 64, 64), some_labels())["reconstruction"] > 0
    method.after_step()
    assert list(method.companions()) == ["reconstruction.averaged"]
    assert method.companions()["reconstruction.averaged"].updates == 1


def test_without_both_losses_nothing_is_cut() -> None:
    config = OASSConfig(weight_partial=0.0, weight_reconstruction=0.0)
    method = Together(student_of(), oass_objectives(config, tiny("MLDecoder", width=16, num_heads=2)))
    assert list(method.objectives) == ["soft_margin"]
    assert method.companions() == {}


def test_what_cannot_be_cut_is_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match="MLDecoderForImageClassification does not give"):
        oass_objectives(OASSConfig(), tiny("MLDecoder", width=16, num_heads=2))
    student = student_of(32)
    with pytest.raises(ValueError, match="32x32 px give 1x1 cells"):
        both_losses(student, seen(student, some_labels(), 32))


@pytest.mark.parametrize(
    "wrong", [{"key_points": "mean"}, {"gradient": "both"}, {"weight_partial": -1.0}, {"ramp": 1.5}, {"k": 0}]
)
def test_wrong_settings_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"oass.{next(iter(wrong))}"):
        OASSConfig(**wrong)
