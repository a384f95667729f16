"""What stops a run early and says why: losses that are not finite, memory or disk that ran out."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def is_finite_everywhere(loss: Tensor, accelerator: Any) -> bool:
    """Whether the loss is finite on all processes, so that all take or leave the step together."""
    finite = torch.isfinite(loss.detach()).float()
    return bool(accelerator.reduce(finite, reduction="sum") == accelerator.num_processes)


def refuse_non_finite(
    skipped: int, args: Any, step: int, loss: Tensor, parts: Mapping[str, Tensor], inputs: Mapping[str, Any]
) -> None:
    """Stop the run, unless a bounded number of bad steps may be skipped.

    Raises:
        FloatingPointError: naming the step, the part of the loss that broke and the images of the batch.
    """
    if skipped <= args.max_skipped_steps:
        return
    broken = [name for name, part in parts.items() if not torch.isfinite(part)]
    raise FloatingPointError(
        f"The loss of step {step + 1} is {loss.item()} (parts that are not finite: {', '.join(broken) or 'none here'}"
        f"; images: {', '.join(map(str, inputs.get('image_id', ['unknown'])))}). Lower the learning rate or the mixed "
        f"precision, look at these images, or allow skips with --max_skipped_steps."
    )


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


@torch.no_grad()
def broken_gradients(method: nn.Module) -> list[str]:
    """The parameters whose gradients are not finite."""
    found = {name: p.grad for name, p in method.named_parameters() if p.grad is not None}
    if not found:
        return []
    norms = torch.stack(torch._foreach_norm(list(found.values())))
    if torch.isfinite(norms.sum()):  # one look at the device a step
        return []
    return [name for name, grad in found.items() if not torch.isfinite(grad).all()]


def refuse_broken_gradients(skipped: int, args: Any, step: int, broken: Sequence[str], images: Sequence[str]) -> None:
    """Stop the run at gradients that are not finite, unless a bounded number of bad steps may be skipped.

    Raises:
        FloatingPointError: naming the step, the parameters and the images of the step.
    """
    if skipped <= args.max_skipped_steps:
        return
    more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
    raise FloatingPointError(
        f"The gradients of step {step + 1} are not finite though its loss is, in {', '.join(broken[:3])}{more} "
        f"(images: {', '.join(map(str, images)) or 'unknown'}). Lower the learning rate or the mixed precision, look "
        "at these images, or allow skips with --max_skipped_steps."
    )


@contextlib.contextmanager
def explain_out_of_memory(args: Any) -> Iterator[None]:
    """Turn an out-of-memory error into one that says which batch was too large and what to change."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        size, steps = args.per_device_train_batch_size, args.gradient_accumulation_steps
        raise torch.OutOfMemoryError(
            f"Memory ran out with {size} images a process. Use --per_device_train_batch_size {max(1, size // 2)} "
            f"--gradient_accumulation_steps {steps * 2} (the same result for per-image losses), mixed precision "
            f"(--bf16 true) or --gradient_checkpointing true."
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
