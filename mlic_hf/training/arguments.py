"""The settings of a run that belong to optimisation, averaging, evaluation and safety."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.trainer_utils import HubStrategy, IntervalStrategy, SaveStrategy

from mlic_hf.training.refused import refuse_what_means_nothing

#: what the papers use and transformers does not have
OWN_OPTIMIZERS = ("adam",)
OWN_SCHEDULES = ("one_cycle", "step")
BATCH_NORMS = ("train", "frozen", "sync")


@dataclass
class MultiLabelTrainingArguments(TrainingArguments):
    """transformers' TrainingArguments with what the five papers need; every other field means what it means there.

    docs/trainer.md lists every field: works, or refused and why.

    Raises:
        ValueError: for a choice that does not exist, a number out of range, or a field that means nothing here.
    """

    # What transformers has, with the papers' choices among the others and as defaults.
    optim: str = field(
        default="adam", metadata={"help": "adam (L2D, PSD), or any of transformers': adamw_torch (CoCo, MulCon), sgd"}
    )
    lr_scheduler_type: str = field(
        default="one_cycle", metadata={"help": "one_cycle, step, or any of transformers': cosine, polynomial, linear"}
    )
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
    remove_unused_columns: bool = field(default=False, metadata={"help": "false: the columns are the library's own"})
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "false: a loss that is not finite stops"})
    report_to: str | None = field(default="none", metadata={"help": "none, or trackers by name, e.g. tensorboard"})
    max_grad_norm: float = field(default=0.0, metadata={"help": "gradient clipping by norm; 0 for none"})
    dataloader_pin_memory: bool = field(
        default_factory=torch.cuda.is_available, metadata={"help": "page-locked batches, for a GPU"}
    )
    dataloader_num_workers: int = field(default=2, metadata={"help": "processes that load images"})
    hub_strategy: HubStrategy | str = field(
        default="end", metadata={"help": "end: push_to_hub() sends the result; checkpoints are not published"}
    )

    # The library's own.
    decay_all: bool = field(
        default=False,
        metadata={"help": "weight decay on every parameter; else only on those with more than one dimension"},
    )
    lr_scales: dict | str | None = field(
        default=None,
        metadata={"help": 'learning-rate factors by longest prefix of a name, e.g. {"backbone": 0.1}'},
    )
    bias_lr_scale: float = field(default=1.0, metadata={"help": "another factor on the biases' learning rate"})
    pct_start: float = field(default=0.2, metadata={"help": "one_cycle: share of the steps that rise"})
    step_epochs: float = field(default=20.0, metadata={"help": "step: epochs between two reductions"})
    gamma: float = field(default=0.1, metadata={"help": "step: factor of a reduction"})
    schedule_epochs: float | None = field(
        default=None, metadata={"help": "epochs the schedule is laid out for, if more than are trained"}
    )
    ema_decay: float | None = field(
        default=0.9997, metadata={"help": "decay of the averaged weights after each step; null for none"}
    )
    ema_warmup: bool = field(
        default=True, metadata={"help": "the decay rises as (1 + step) / (10 + step), so that short runs have one"}
    )
    gradient_norms: bool = field(
        default=False, metadata={"help": "log the norm of each loss's gradient on an epoch's first batch"}
    )
    batch_norm: str = field(default="train", metadata={"help": "train (each process its own), frozen or sync"})
    mixup_alpha: float = field(
        default=0.0, metadata={"help": "mix the images of a batch and their labels, Beta(alpha, alpha); 0 for none"}
    )
    train_sampling_strategy: str = field(
        default="random", metadata={"help": "random, sequential, or repeat_factor: rare labels are seen more often"}
    )
    repeat_threshold: float = field(
        default=0.01, metadata={"help": "repeat_factor: the share of images below which a label is rare"}
    )
    max_skipped_steps: int = field(
        default=0, metadata={"help": "steps with a non-finite gradient that may be skipped before the run stops"}
    )

    def __post_init__(self) -> None:
        if isinstance(self.lr_scales, str):
            self.lr_scales = json.loads(self.lr_scales)
        refuse_what_means_nothing(self)
        if self.batch_norm not in BATCH_NORMS:
            raise ValueError(f"batch_norm is {self.batch_norm!r}; it is one of {', '.join(BATCH_NORMS)}.")
        if self.ema_decay is not None and not 0.0 <= self.ema_decay < 1.0:
            raise ValueError(f"ema_decay is {self.ema_decay}; a decay lies in [0, 1), or is null for no average.")
        if not 0 < self.repeat_threshold <= 1:
            raise ValueError(f"repeat_threshold is {self.repeat_threshold}; a share of the images lies in (0, 1].")
        if not torch.accelerator.is_available():
            self.use_cpu = True  # said for the user, or transformers refuses bf16 on a machine without a GPU
        # transformers checks both against its own lists.
        own = {
            name: getattr(self, name)
            for name, choices in (("optim", OWN_OPTIMIZERS), ("lr_scheduler_type", OWN_SCHEDULES))
            if getattr(self, name) in choices
        }
        for name in own:
            setattr(self, name, TrainingArguments.__dataclass_fields__[name].default)
        super().__post_init__()
        for name, value in own.items():
            setattr(self, name, value)

    @property
    def n_gpu(self) -> int:
        """One process uses one GPU: transformers would cut its batch for all that it sees, unknown to the counts."""
        return min(super().n_gpu, 1)

    @property
    def device(self) -> torch.device:
        """Without a number where it is a CPU: older transformers load optimizers to "cpu:0", which torch cannot do."""
        found = super().device
        return torch.device("cpu") if found.type == "cpu" else found

    @classmethod
    def of(cls, args: TrainingArguments) -> MultiLabelTrainingArguments:
        """Plain TrainingArguments as these: their values, and of the library's own fields those that add nothing."""
        if isinstance(args, cls):
            return args
        given: dict[str, Any] = {f.name: getattr(args, f.name) for f in dataclasses.fields(args) if f.init}
        fixed: dict[str, Any] = {"remove_unused_columns": False, "logging_nan_inf_filter": False, "ema_decay": None}
        if not args.push_to_hub:
            fixed["hub_strategy"] = "end"
        return cls(**given | fixed)
