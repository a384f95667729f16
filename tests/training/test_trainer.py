"""The trainer: logs, averages, checkpoints, resuming, guards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoModelForImageClassification, TrainerCallback

from mlic_hf.data import collate
from mlic_hf.methods.base import MethodBatch, Objective, Weighted
from mlic_hf.methods.supervised import BinaryCrossEntropy
from mlic_hf.metrics import average_precision
from mlic_hf.training.checkpoint import find_checkpoints, read_weights, set_aside_unfinished
from tests.methods.tiny import tiny_linear
from tests.methods.together import Together
from tests.training.tiny import dataset, make_trainer, same_weights


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, Path]:
    folder = tmp_path_factory.mktemp("trained")
    trainer = make_trainer(folder)
    trainer.train()
    trainer.save_model()
    return trainer, folder


def test_the_log_names_every_part_and_both_scores(trained: tuple) -> None:
    trainer, _ = trained
    losses = [line for line in trainer.state.log_history if "loss_bce" in line]
    scores = [line for line in trainer.state.log_history if "eval_mAP" in line]
    assert len(losses) == 2
    assert len(scores) == 2
    for line in losses:
        assert line["loss"] == pytest.approx(line["loss_bce"], rel=1e-5)
    for line in scores:
        assert line["eval_mAP"] == max(line["eval_plain_mAP"], line["eval_ema_mAP"])
    assert losses[-1]["loss"] < losses[0]["loss"]


def test_the_result_is_the_best_checkpoint_and_loads_without_a_flag(trained: tuple) -> None:
    trainer, folder = trained
    best = max(line["eval_mAP"] for line in trainer.state.log_history if "eval_mAP" in line)
    told = read_weights(folder)
    assert max(told["scores"].values()) == best
    assert told["scores"][told["root"]] == best
    other = "plain" if told["root"] == "ema" else "ema"
    assert (folder / other / "model.safetensors").is_file()
    model = AutoModelForImageClassification.from_pretrained(folder)
    assert same_weights(model.state_dict(), trainer.model.state_dict())
    processor = AutoImageProcessor.from_pretrained(folder)
    assert processor.image_size == model.config.image_size
    assert not list(folder.glob("*.bin"))


def test_the_scores_are_those_of_the_metrics_room(trained: tuple) -> None:
    trainer, _ = trained
    output = trainer.predict(trainer.eval_dataset)
    scores, metrics = torch.from_numpy(output.predictions).double().sigmoid().numpy(), output.metrics
    model = trainer.model.eval()
    batch = collate([trainer.eval_dataset[i] for i in range(13)])
    with torch.no_grad():
        expected = model(batch["pixel_values"]).logits.double().sigmoid().numpy()
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    assert metrics["test_mAP"] == pytest.approx(np.nanmean(average_precision(expected, batch["labels"].numpy())))


@pytest.mark.parametrize("steps", [2, 3])
def test_accumulation_is_the_same_as_a_larger_batch(tmp_path: Path, steps: int) -> None:
    settings = {
        "optim": "sgd",
        "num_train_epochs": 1,
        "batch_norm": "frozen",
        "lr_scheduler_type": "constant",
    }
    whole = make_trainer(tmp_path / "whole", per_device_train_batch_size=12, **settings)
    cut = make_trainer(
        tmp_path / "cut", per_device_train_batch_size=12 // steps, gradient_accumulation_steps=steps, **settings
    )
    start = {k: v.clone() for k, v in whole.model.state_dict().items()}
    whole.train()
    cut.train()
    assert whole.state.global_step == cut.state.global_step == 2
    a, b = whole.model.state_dict(), cut.model.state_dict()
    assert any(not torch.equal(start[name], a[name]) for name in a)
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-4, atol=1e-6, msg=name)
    first, second = (t.state.log_history[0]["loss"] for t in (whole, cut))
    assert first == pytest.approx(second, rel=1e-5)


class StopAfter(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("stop", [4, 5])
def test_a_run_that_stopped_in_a_step_continues_bit_equal(tmp_path: Path, stop: int) -> None:
    settings = {
        "save_strategy": "steps",
        "save_steps": 2,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "logging_steps": 3,
    }
    settings |= {"logging_strategy": "steps", "save_total_limit": 2, "num_train_epochs": 3}
    whole = make_trainer(tmp_path / "whole", **settings)
    whole.train()
    broken = make_trainer(tmp_path / "broken", **settings)
    broken.add_callback(StopAfter(stop))
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    resumed = make_trainer(tmp_path / "broken", **settings)
    resumed.train(resume_from_checkpoint=str(find_checkpoints(tmp_path / "broken")[-1]))
    whole.save_model()
    resumed.save_model()
    assert same_weights(whole.model.state_dict(), resumed.model.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(whole.weights.average.kept, resumed.weights.average.kept, strict=True)
    )
    for file in ("model.safetensors", "weights.json"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "broken" / file).read_bytes()

    def told(trainer: object) -> list[dict]:
        clocks = ("runtime", "per_second", "train_loss", "flos")
        return [
            {k: v for k, v in line.items() if not any(word in k for word in clocks)}
            for line in trainer.state.log_history
        ]

    assert told(whole) == told(resumed)


def test_a_half_written_checkpoint_is_set_aside(tmp_path: Path) -> None:
    half = tmp_path / "unfinished" / "checkpoint-7"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_bytes(b"half")
    (tmp_path / "checkpoint-9").mkdir()  # no weights.json: not whole
    aside = set_aside_unfinished(tmp_path)
    assert aside is not None
    assert (aside / "checkpoint-7" / "model.safetensors").is_file()
    assert set_aside_unfinished(tmp_path) is None
    assert find_checkpoints(tmp_path) == []


def test_a_full_disk_leaves_the_checkpoint_before_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(tmp_path)
    written: list[str] = []
    original = trainer._save_rng_state

    def fill_the_disk(output_dir: str) -> None:
        written.append(output_dir)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        original(output_dir)

    monkeypatch.setattr(trainer, "_save_rng_state", fill_the_disk)
    with pytest.raises(OSError, match=r"the disk is full\. Earlier checkpoints are whole"):
        trainer.train()
    (whole,) = find_checkpoints(tmp_path)
    assert whole.name == "checkpoint-3"
    assert not (tmp_path / "unfinished").exists()
    assert load_file(whole / "model.safetensors")


class Breaks(Objective):
    """Infinite from a given call on."""

    name = "breaks"

    def __init__(self, good_calls: int, bad_calls: int = 1000) -> None:
        super().__init__()
        self.calls, self.good, self.bad = 0, good_calls, bad_calls

    def forward(self, batch: MethodBatch) -> torch.Tensor:
        self.calls += 1
        broken = self.good < self.calls <= self.good + self.bad
        return batch.student.logits.sum() * (float("inf") if broken else 0.0)


def broken_method(*calls: int) -> Together:
    return Together(tiny_linear(), [Weighted(BinaryCrossEntropy(), 1.0), Weighted(Breaks(*calls), 1.0)])


def test_a_loss_that_is_not_finite_stops_with_step_part_and_images(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, broken_method(1))
    with pytest.raises(FloatingPointError, match=r"loss of step 2 is not finite \(breaks; images: image-0-"):
        trainer.train()


def test_a_bounded_number_of_bad_steps_may_be_skipped(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, broken_method(1, 2), max_skipped_steps=2)
    trainer.train()
    assert trainer.losses.skipped == 2
    assert all(torch.isfinite(p).all() for p in trainer.model.parameters())
    with pytest.raises(FloatingPointError):
        make_trainer(tmp_path / "third", broken_method(1, 3), max_skipped_steps=2).train()


def test_out_of_memory_says_what_to_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(tmp_path)

    def no_memory(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainer.method, "forward", no_memory)
    with pytest.raises(torch.OutOfMemoryError, match=r"8 images a process\. Use per_device_train_batch_size 4"):
        trainer.train()


@pytest.mark.parametrize("coupled, steps, told", [(True, 2, True), (True, 1, False), (False, 2, False)])
def test_accumulation_of_losses_that_compare_images_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, coupled: bool, steps: int, told: bool
) -> None:
    method = broken_method(1000)
    method.objectives["breaks"].couples_images = coupled
    make_trainer(tmp_path, method, gradient_accumulation_steps=steps)
    assert any("sees one micro-batch (8 images a process)" in line for line in caplog.messages) == told


def test_frozen_batch_norm_keeps_its_statistics(tmp_path: Path) -> None:
    frozen = make_trainer(tmp_path / "frozen", batch_norm="frozen", num_train_epochs=1)
    before = {k: v.clone() for k, v in frozen.model.named_buffers()}
    frozen.train()
    assert all(torch.equal(before[k], v) for k, v in frozen.model.named_buffers())
    free = make_trainer(tmp_path / "free", num_train_epochs=1)
    free.train()
    assert any(not torch.equal(before[k], v) for k, v in free.model.named_buffers())


def test_without_an_average_only_plain_weights_are_kept(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, ema_decay=None, num_train_epochs=1)
    trainer.train()
    trainer.save_model()
    assert json.loads((tmp_path / "weights.json").read_text())["root"] == "plain"
    assert not (tmp_path / "ema").exists()


def test_mixed_precision_trains(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, bf16=True, num_train_epochs=1)
    trainer.train()
    assert np.isfinite(trainer.state.log_history[0]["loss"])
    assert next(trainer.model.parameters()).dtype == torch.float32


def test_order_and_augmentation_do_not_depend_on_workers(tmp_path: Path) -> None:
    settings = {"num_train_epochs": 1, "optim": "sgd"}
    alone = make_trainer(tmp_path / "a", train=dataset(16, kind="train"), **settings)
    workers = make_trainer(tmp_path / "b", train=dataset(16, kind="train"), **settings | {"dataloader_num_workers": 2})
    alone.train()
    workers.train()
    assert same_weights(alone.model.state_dict(), workers.model.state_dict())
