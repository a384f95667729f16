"""Gradients that are not finite, several GPUs in one process, launchers that cut parameters."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import TrainingArguments

from mlic_hf.methods.base import MethodBatch, Objective, Weighted
from mlic_hf.methods.supervised import BinaryCrossEntropy
from mlic_hf.training import guards
from tests.methods.tiny import tiny_linear
from tests.methods.together import Together
from tests.training.tiny import arguments, make_trainer


class Steep(Objective):
    """Zero with an infinite gradient, from a given call on for some calls."""

    name = "steep"

    def __init__(self, good_calls: int, bad_calls: int) -> None:
        super().__init__()
        self.calls, self.good, self.bad = 0, good_calls, bad_calls

    def forward(self, batch: MethodBatch) -> torch.Tensor:
        self.calls += 1
        zero = batch.student.logits.sum() * 0.0
        return zero.abs().sqrt() if self.good < self.calls <= self.good + self.bad else zero


def steep(good_calls: int, bad_calls: int) -> Together:
    objectives = [Weighted(BinaryCrossEntropy(), 1.0), Weighted(Steep(good_calls, bad_calls), 1.0)]
    return Together(tiny_linear(), objectives)


def test_a_gradient_that_is_not_finite_stops_with_step_parameters_and_images(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, steep(1, 9))
    with pytest.raises(FloatingPointError, match=r"gradients of step 2 .* \(in (backbone|head)\..*images: image-0-"):
        trainer.train()
    assert all(torch.isfinite(p).all() for p in trainer.model.parameters())


def test_a_bounded_number_of_such_steps_may_be_skipped(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, steep(1, 2), max_skipped_steps=2)
    trainer.train()
    assert trainer.losses.skipped == 2
    assert trainer.state.global_step == 6
    assert all(torch.isfinite(p).all() for p in trainer.model.parameters())
    with pytest.raises(FloatingPointError):
        make_trainer(tmp_path / "third", steep(1, 3), max_skipped_steps=2).train()


def test_one_process_uses_one_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = arguments(tmp_path)
    monkeypatch.setattr("tests.training.tiny.arguments", lambda folder, **changes: seen)
    assert seen.n_gpu <= 1
    seen._n_gpu = 4  # what transformers finds on a machine with four
    trainer = make_trainer(tmp_path)
    assert trainer.args.n_gpu == 1
    assert trainer.args.train_batch_size == 8


def test_a_cpu_has_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"here": torch.device("cpu", 1), "there": torch.device("cuda", 1)}
    for place, expected in (("here", "cpu"), ("there", "cuda:1")):
        monkeypatch.setattr(TrainingArguments, "device", property(lambda self, place=place: found[place]))
        assert str(arguments(tmp_path).device) == expected


def test_launchers_that_cut_parameters_are_refused() -> None:
    def accelerator(stage: int | None) -> SimpleNamespace:
        plugin = None if stage is None else SimpleNamespace(zero_stage=stage)
        return SimpleNamespace(state=SimpleNamespace(deepspeed_plugin=plugin))

    guards.refuse_sharded_parameters(False, accelerator(None))
    guards.refuse_sharded_parameters(False, accelerator(2))
    with pytest.raises(ValueError, match=r"^FSDP cuts the parameters"):
        guards.refuse_sharded_parameters(True, accelerator(None))
    with pytest.raises(ValueError, match=r"^DeepSpeed ZeRO-3 .* deepspeed_zero2\.yaml"):
        guards.refuse_sharded_parameters(False, accelerator(3))
