"""The settings of a run that belong to optimisation, averaging, evaluation and safety."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("one_cycle", "cosine", "step", "polynomial", "constant")
BATCH_NORMS = ("train", "frozen", "sync")


@dataclass
class MultiLabelTrainingArguments(TrainingArguments):
    """transformers' TrainingArguments with what the five papers need; a field that is not here means what it
    means there.

    Raises:
        ValueError: for a choice that does not exist or a number out of range.
    """

    optimizer: str = field(default="adam", metadata={"help": "adam (L2D, PSD), adamw (CoCo, MulCon) or sgd"})
    momentum: float = field(default=0.9, metadata={"help": "sgd: momentum"})
    nesterov: bool = field(default=False, metadata={"help": "sgd: Nesterov's form"})
    decay_all: bool = field(
        default=False,
        metadata={"help": "weight decay on every parameter; else only on those with more than one dimension"},
    )
    lr_scales: dict = field(
        default_factory=dict,
        metadata={"help": 'learning-rate factors by longest prefix of a name, e.g. {"student.backbone": 0.1}'},
    )
    bias_lr_scale: float = field(default=1.0, metadata={"help": "another factor on the biases' learning rate"})
    schedule: str = field(default="one_cycle", metadata={"help": "one_cycle, cosine, step, polynomial or constant"})
    pct_start: float = field(default=0.2, metadata={"help": "one_cycle: share of the steps that rise"})
    warmup_fraction: float = field(default=0.0, metadata={"help": "cosine: share of the steps that rise"})
    step_epochs: float = field(default=20.0, metadata={"help": "step: epochs between two reductions"})
    gamma: float = field(default=0.1, metadata={"help": "step: factor of a reduction"})
    power: float = field(default=0.9, metadata={"help": "polynomial: its power"})
    schedule_epochs: float | None = field(
        default=None, metadata={"help": "epochs the schedule is laid out for, if more than are trained"}
    )
    ema_decay: float | None = field(
        default=0.9997, metadata={"help": "decay of the averaged weights after each step; null for none"}
    )
    batch_norm: str = field(default="train", metadata={"help": "train (each process its own), frozen or sync"})
    max_skipped_steps: int = field(
        default=0, metadata={"help": "steps with a non-finite loss that may be skipped before the run stops"}
    )
    data_augmentation_seed: int | None = field(
        default=None, metadata={"help": "seed of order and augmentation; the run's seed when null"}
    )

    # Defaults that differ from transformers'.
    per_device_train_batch_size: int = field(default=64, metadata={"help": "images a process and micro-batch"})
    per_device_eval_batch_size: int = field(default=128, metadata={"help": "images a process in evaluation"})
    learning_rate: float = field(default=1e-4, metadata={"help": "the highest learning rate of the schedule"})
    weight_decay: float = field(default=1e-4, metadata={"help": "weight decay; see decay_all"})
    eval_strategy: IntervalStrategy | str = field(default="epoch", metadata={"help": "no, steps or epoch"})
    save_strategy: SaveStrategy | str = field(default="epoch", metadata={"help": "no, steps, epoch or best"})
    logging_strategy: IntervalStrategy | str = field(default="epoch", metadata={"help": "no, steps or epoch"})
    save_total_limit: int | None = field(default=1, metadata={"help": "checkpoints kept beside the best"})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "the result is the best checkpoint"})
    metric_for_best_model: str | None = field(default="mAP", metadata={"help": "the score that decides"})
    greater_is_better: bool | None = field(default=True, metadata={"help": "whether a high score is good"})
    remove_unused_columns: bool | None = field(default=False, metadata={"help": "leave false: the data are tensors"})
    report_to: str | list[str] | None = field(default="none", metadata={"help": "none or tensorboard"})
    max_grad_norm: float = field(default=0.0, metadata={"help": "gradient clipping by norm; 0 for none"})
    dataloader_pin_memory: bool = field(
        default_factory=torch.cuda.is_available, metadata={"help": "page-locked batches, for a GPU"}
    )
    dataloader_num_workers: int = field(default=2, metadata={"help": "processes that load images"})

    def __post_init__(self) -> None:
        for name, allowed in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("batch_norm", BATCH_NORMS),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it is one of {', '.join(allowed)}.")
        if self.ema_decay is not None and not 0.0 <= self.ema_decay < 1.0:
            raise ValueError(f"ema_decay is {self.ema_decay}; a decay lies in [0, 1), or is null for no average.")
        if self.push_to_hub:
            raise ValueError("push_to_hub is not done while training: use `mlic push` on the result.")
        if not torch.accelerator.is_available():
            self.use_cpu = True  # said for the user, or transformers refuses bf16 on a machine without a GPU
        # A loss that is not finite stops the run (guards.py); a filter would hide it from the log.
        self.logging_nan_inf_filter = False
        super().__post_init__()
