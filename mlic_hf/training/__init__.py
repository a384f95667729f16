"""The trainer, its settings, and what follows a run: averages, schedules, checkpoints, guards."""

from __future__ import annotations

from mlic_hf.training.arguments import MultiLabelTrainingArguments
from mlic_hf.training.average import MovingAverage
from mlic_hf.training.trainer import MultiLabelTrainer

__all__ = ["MovingAverage", "MultiLabelTrainer", "MultiLabelTrainingArguments"]
