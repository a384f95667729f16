"""The learning-rate schedules of the papers that transformers does not have."""

from __future__ import annotations

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from mlic_hf.training.arguments import MultiLabelTrainingArguments


def steps_per_epoch(args: MultiLabelTrainingArguments, num_training_steps: int) -> float:
    """How many steps an epoch has.

    Raises:
        ValueError: if the run is measured in steps.
    """
    if args.max_steps > 0:
        raise ValueError(
            "max_steps measures the run in steps, but step_epochs and schedule_epochs count epochs: "
            "give num_train_epochs."
        )
    return num_training_steps / args.num_train_epochs


def one_cycle(optimizer: torch.optim.Optimizer, args: MultiLabelTrainingArguments, steps: int) -> LRScheduler:
    """Up to the highest rate in the first `pct_start` of the steps, then down to nothing (PSD, L2D, CoCo)."""
    # One step more than are taken: the trainer also steps after the last one. A rise that would end exactly where it
    # begins divides by zero in torch, so the shortest rise is a little more than one step.
    total = steps + 1
    share = args.pct_start + 1e-6 if float(args.pct_start * total) == 1.0 else args.pct_start
    highest = [group["lr"] for group in optimizer.param_groups]
    # it also turns Adam's first beta, or the momentum; optimizers without either keep what they have
    momentum = bool({"momentum", "betas"} & optimizer.defaults.keys())
    return OneCycleLR(optimizer, max_lr=highest, total_steps=total, pct_start=share, cycle_momentum=momentum)


def step(optimizer: torch.optim.Optimizer, args: MultiLabelTrainingArguments, steps: int) -> LRScheduler:
    """Times `gamma` every `step_epochs` epochs (MulCon's second stage)."""
    interval = args.step_epochs * steps_per_epoch(args, steps)
    return LambdaLR(optimizer, lambda done: args.gamma ** int(done / interval))
