"""What stops a run early and says why: gradients that are not finite, memory or disk that ran out."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mlic_hf.methods.base import Method
from mlic_hf.training.step_losses import StepLosses


def refuse_non_finite(step: int, losses: StepLosses, modules: Sequence[nn.Module]) -> None:
    """Stop the run at a gradient that is not finite.

    Args:
        step: the number of the step, from 1.
        losses: the parts of the step's loss, and its images.
        modules: what is trained.

    Raises:
        FloatingPointError: naming the step, the part of the loss or the parameters that broke, and the images.
    """
    broken = [name for name, part in losses.step.items() if name and not torch.isfinite(part)]
    if broken:
        what = f"The loss of step {step} is not finite ({', '.join(broken)}"
    else:
        named = [item for module in modules for item in module.named_parameters()]
        names = [name for name, p in named if p.grad is not None and not torch.isfinite(p.grad).all()]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        what = f"The gradients of step {step} are not finite though its loss is (in {', '.join(names[:3])}{more}"
    raise FloatingPointError(
        f"{what}; images: {', '.join(map(str, losses.images)) or 'unknown'}). Lower the learning rate or the mixed "
        "precision, look at these images, or allow some skips (max_skipped_steps)."
    )


def refuse_idle_teacher(teacher: Any, method: Method) -> None:
    """Refuse a teacher that would teach nothing.

    Raises:
        ValueError: no loss asks one, or the method has another.
    """
    if teacher is None:
        return
    if teacher is not method.teacher:
        raise ValueError("A Method has its teacher already: leave `teacher` out, or give objectives as the method.")
    if not any(objective.needs_teacher for objective in method.objectives.values()):
        raise ValueError(
            f"A teacher is given, but no loss of this method asks it ({', '.join(method.objectives)}): leave it out, "
            'or choose a method that distils ("l2d", "psd").'
        )


def refuse_unknown_length(data: Any, max_steps: int) -> None:
    """Refuse a training stream of which nobody knows where it and its schedule end.

    Raises:
        ValueError: neither its length nor `max_steps` is known.
    """
    if hasattr(type(data), "__len__") and max_steps <= 0:
        try:
            len(data)
        except TypeError:
            raise ValueError(
                "Nobody counted the rows of the training stream, so the end of its schedule is not known: set "
                "max_steps, or tell the rows of its shards, mlic_hf.data.ShardedRows(rows, counts=[...])."
            ) from None


def refuse_sharded_parameters(fsdp: bool, accelerator: Any) -> None:
    """Refuse launchers that cut parameters over processes.

    Raises:
        ValueError: under FSDP or DeepSpeed ZeRO-3.
    """
    plugin = getattr(accelerator.state, "deepspeed_plugin", None)
    if fsdp or (plugin is not None and plugin.zero_stage == 3):
        raise ValueError(
            f"{'FSDP' if fsdp else 'DeepSpeed ZeRO-3'} cuts the parameters over the processes, but the student is "
            "averaged, evaluated and saved on its own, which wants whole ones. Launch with "
            "training_scripts/launch/ddp.yaml or deepspeed_zero2.yaml; docs/scaling.md says what fits."
        )


@contextlib.contextmanager
def explain_out_of_memory(args: Any) -> Iterator[None]:
    """Turn an out-of-memory error into one that says which batch was too large and what to change."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        size, steps = args.per_device_train_batch_size, args.gradient_accumulation_steps
        raise torch.OutOfMemoryError(
            f"Memory ran out with {size} images a process. Use per_device_train_batch_size {max(1, size // 2)} with "
            f"gradient_accumulation_steps {steps * 2} (the same result for per-image losses), mixed precision "
            f"(bf16) or gradient_checkpointing."
        ) from error


@contextlib.contextmanager
def explain_full_disk(staging: Path) -> Iterator[None]:
    """Remove a half-written checkpoint when writing fails, and say what is still whole."""
    try:
        yield
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        why = "the disk is full" if error.errno == errno.ENOSPC else str(error)
        raise OSError(
            error.errno or 0,
            f"The checkpoint could not be written to {staging.parent}: {why}. Earlier checkpoints are whole; "
            f"make room and start the same command again.",
        ) from error
