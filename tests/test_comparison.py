"""docs/comparison.md tells the truth of the libraries that are installed."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest
import timm
import torch
from transformers import Trainer, TrainingArguments

from mlic_hf import losses
from mlic_hf.methods.supervised import method as supervised

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "comparison.md").read_text(encoding="utf-8")


def test_transformers_has_no_teacher_and_no_average() -> None:
    names = [field.name for field in dataclasses.fields(TrainingArguments)] + [*inspect.signature(Trainer).parameters]
    assert [name for name in names if "teacher" in name or "distill" in name or name.startswith("ema")] == []


def test_the_bce_of_transformers_counts_unknown_labels() -> None:
    from transformers import PretrainedConfig
    from transformers.loss.loss_utils import ForSequenceClassificationLoss

    config = PretrainedConfig(num_labels=2, problem_type="multi_label_classification")
    logits = torch.tensor([[2.0, 3.0]])
    known, unknown = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, -1.0]])
    theirs = [float(ForSequenceClassificationLoss(labels, logits, config)) for labels in (known, unknown)]
    assert theirs[1] > theirs[0] + 1
    ours = losses.binary_cross_entropy(logits, unknown, reduction="sum")
    torch.testing.assert_close(ours, losses.binary_cross_entropy(logits[:, :1], known[:, :1], reduction="sum"))


@pytest.fixture
def tasks() -> object:
    return pytest.importorskip("timm.task", reason="timm's tasks for several labels came with 1.0.31")


def test_timm_counts_unknown_labels_and_labels_without_positives(tasks: object) -> None:
    from timm.loss import BinaryCrossEntropy
    from timm.task.evaluator import MultiLabelClassificationEvaluator

    logits = torch.tensor([[2.0, 3.0]])
    bce = BinaryCrossEntropy(smoothing=0.0)
    assert bce(logits, torch.tensor([[1.0, -1.0]])) > bce(logits, torch.tensor([[1.0, 0.0]])) + 1
    assert "zero" in (inspect.getdoc(MultiLabelClassificationEvaluator) or "")


def test_timm_distils_by_a_softmax_and_has_these_losses(tasks: object) -> None:
    from timm.loss import MULTI_LABEL_LOSS_TYPES
    from timm.task.distillation import LogitDistillationTask

    assert "log_softmax" in inspect.getsource(LogitDistillationTask)
    assert set(MULTI_LABEL_LOSS_TYPES) == {"bce", "asl", "poly", "twoway", "zlpr", "db"}
    assert f"timm {timm.__version__}" in PAGE


def test_the_number_of_our_losses() -> None:
    assert f"| {len(supervised.LOSSES)}: BCE" in PAGE
