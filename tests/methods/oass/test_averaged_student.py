"""The averaged copy: its decay, its buffers, and that it survives a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mlic_hf.methods.oass import OASSConfig
from mlic_hf.methods.oass.averaged_student import AveragedStudent
from mlic_hf.methods.oass.chunk_size import measure_chunk_size
from mlic_hf.training import MultiLabelTrainer
from mlic_hf.training.arguments import MultiLabelTrainingArguments
from tests.methods.mulcon.models import random_batch
from tests.methods.oass.models import student_of


def test_decay_is_the_papers_rule() -> None:
    model = nn.Linear(1, 1)
    averaged = AveragedStudent(model)
    found = []
    for _ in range(103):
        found.append(averaged.decay().item())
        averaged.update(model)
    assert found[:4] == pytest.approx([0.0, 0.5, 2 / 3, 0.75])
    assert found[98:] == pytest.approx([1 - 1 / 99, 0.99, 0.99, 0.99, 0.99])
    assert averaged.updates == 103


def test_the_copy_is_the_mean_of_the_weights_after_each_step() -> None:
    model = nn.Linear(3, 2)
    averaged = AveragedStudent(model)
    total = torch.zeros_like(model.weight)
    for step in range(1, 6):
        with torch.no_grad():
            model.weight.normal_()
        averaged.update(model)
        total += model.weight.detach()
        torch.testing.assert_close(averaged.model.weight, total / step)


def test_buffers_are_copied_and_the_copy_stays_in_evaluation_mode() -> None:
    model = nn.BatchNorm2d(3)
    averaged = AveragedStudent(model).train()
    model(torch.randn(4, 3, 2, 2) + 5)
    averaged.update(model)
    assert torch.equal(averaged.model.running_mean, model.running_mean)
    assert averaged.model.num_batches_tracked == 1
    assert not averaged.model.training
    assert not any(p.requires_grad for p in averaged.parameters())


class Pictures(torch.utils.data.Dataset):
    """Eight random pictures with labels."""

    def __init__(self) -> None:
        self.batch = random_batch(8, two_views=False)

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {name: values[index] for name, values in self.batch.items()}

    def set_epoch(self, epoch: int) -> None:
        """The pictures do not change."""


def trainer_in(folder: Path, epochs: int = 2) -> MultiLabelTrainer:
    student = student_of()
    args = MultiLabelTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        lr_scheduler_type="constant",
        schedule_epochs=2,
        optim="sgd",
        optim_args="momentum=0.9,nesterov=true",
        learning_rate=0.05,
        batch_norm="frozen",
        ema_decay=None,
        per_device_train_batch_size=4,
        eval_strategy="no",
        save_strategy="epoch",
        load_best_model_at_end=False,
        dataloader_num_workers=0,
        disable_tqdm=True,
        use_cpu=True,
        save_total_limit=None,
    )
    return MultiLabelTrainer(
        student, args, train_dataset=Pictures(), eval_dataset=Pictures(), method=OASSConfig(chunk_size=16)
    )


def test_a_resumed_run_ends_with_the_same_copy(tmp_path: Path) -> None:
    whole = trainer_in(tmp_path / "whole")
    whole.train()
    resumed = trainer_in(tmp_path / "resumed")
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    expected, found = (t.method.companions()["partial_class.averaged"] for t in (whole, resumed))
    assert found.updates == expected.updates == 4
    for name, tensor in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], tensor), name


def test_the_measured_chunk_ends_where_time_or_memory_does(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def cost_of(run: Any, size: int, device: torch.device) -> tuple[float, float]:
        run(size)
        return costs[size]

    monkeypatch.setattr("mlic_hf.methods.oass.chunk_size._cost", cost_of)
    costs = {1: (1.0, 0.1), 2: (1.2, 0.2), 4: (1.5, 0.3), 8: (2.95, 0.4)}
    assert measure_chunk_size(seen.append, torch.device("cpu")) == 4
    assert seen == [1, 2, 4, 8]
    costs = {1: (1.0, 0.1), 2: (1.2, 0.2), 4: (1.5, 0.6)}
    assert measure_chunk_size(seen.append, torch.device("cpu")) == 2
    costs = {1: (1.0, 0.1), 2: (1.2, 0.2)}
    assert measure_chunk_size(seen.append, torch.device("cpu"), largest=2) == 2


def test_a_chunk_that_does_not_fit_is_not_taken() -> None:
    def run(size: int) -> None:
        if size > 1:
            raise torch.OutOfMemoryError("does not fit")

    assert measure_chunk_size(run, torch.device("cpu")) == 1
