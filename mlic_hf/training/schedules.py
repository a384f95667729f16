"""Learning-rate schedules of the papers, as torch's own schedulers or a factor of the step."""

from __future__ import annotations

import math

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from mlic_hf.training.arguments import MultiLabelTrainingArguments


def factor(args: MultiLabelTrainingArguments, step: int, total_steps: int, steps_per_epoch: float) -> float:
    """The share of the highest learning rate at a step, for every schedule but one_cycle."""
    if args.schedule == "step":
        return args.gamma ** int(step / (args.step_epochs * steps_per_epoch))
    done = min(1.0, step / max(1, total_steps))
    if args.schedule == "polynomial":
        return (1.0 - done) ** args.power
    if args.schedule == "cosine":
        if done < args.warmup_fraction:
            return done / args.warmup_fraction
        after = (done - args.warmup_fraction) / max(1e-12, 1.0 - args.warmup_fraction)
        return 0.5 * (1.0 + math.cos(math.pi * after))
    return 1.0


def build_schedule(
    optimizer: torch.optim.Optimizer, args: MultiLabelTrainingArguments, num_training_steps: int
) -> LRScheduler:
    """The schedule over all steps; over those of `schedule_epochs` where fewer epochs are trained."""
    epochs = float(args.num_train_epochs)
    steps_per_epoch = num_training_steps / epochs
    total = max(num_training_steps, round(steps_per_epoch * (args.schedule_epochs or epochs)))
    if args.schedule == "one_cycle":
        highest = [group["lr"] for group in optimizer.param_groups]
        # One step more than are taken: the trainer also steps after the last one.
        return OneCycleLR(optimizer, max_lr=highest, total_steps=total + 1, pct_start=args.pct_start)
    return LambdaLR(optimizer, lambda step: factor(args, step, total, steps_per_epoch))
