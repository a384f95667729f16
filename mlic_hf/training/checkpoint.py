"""Checkpoints that are whole or not there: written under a temporary name, renamed, found again.

A checkpoint's root is the better of the plain and the averaged weights; the other lies in `plain/` or `ema/`, and
`weights.json` says which is which and their scores.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mlic_hf.training import guards

UNFINISHED = "unfinished"
WEIGHTS = "weights.json"
MODEL = "model.safetensors"
ADAPTER = "adapter_model.safetensors"
METHOD = "method.safetensors"
COMPANIONS = "companions.safetensors"
STATE = "loop_state.json"


def read_weights(folder: Path) -> dict[str, Any]:
    """What `weights.json` of a saved model says: which weights are its root, and their scores.

    Raises:
        ValueError: if the file is missing or of another format.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise ValueError(f"{folder} holds no {WEIGHTS}: it is not a checkpoint that this library wrote.")
    told = json.loads(path.read_text(encoding="utf-8"))
    if told.get("format_version") != 1:
        raise ValueError(f"{path} has format_version {told.get('format_version')!r}; this version reads 1.")
    return told


def write_weights(folder: Path, root: str, scores: Mapping[str, float | None]) -> None:
    """Say which weights lie at the root of a folder and how both scored."""
    told = {"format_version": 1, "root": root, "scores": dict(scores)}
    (folder / WEIGHTS).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def place_of(folder: Path, kind: str) -> Path:
    """Where the "plain" or "ema" weights of a saved model lie.

    Raises:
        ValueError: if it has none of this kind.
    """
    told = read_weights(folder)
    if kind not in told["scores"]:
        raise ValueError(f"{folder} holds no {kind} weights, but this run keeps them (ema_decay): start anew.")
    return folder if told["root"] == kind else folder / kind


def load_weights(model: Any, folder: Path) -> None:
    """Put saved weights into a model, or those of its adapter where it is a PEFT model."""
    if (folder / ADAPTER).is_file():
        from peft import set_peft_model_state_dict

        set_peft_model_state_dict(model, load_file(folder / ADAPTER))
    else:
        model.load_state_dict(load_file(folder / MODEL))


def save_tensors(path: Path, module: nn.Module) -> None:
    """Write a module's tensors to a safetensors file; nothing when there are none."""
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in module.state_dict().items()}
    if tensors:
        save_file(tensors, path)


def load_tensors(path: Path, module: nn.Module) -> None:
    """Read what `save_tensors` wrote."""
    if module.state_dict():
        module.load_state_dict(load_file(path))


@contextmanager
def whole_or_absent(args: Any, step: int, wait: Any) -> Iterator[Path]:
    """Let a checkpoint be written elsewhere and give it its name once it is whole.

    Args:
        args: the trainer's settings, whose `output_dir` points elsewhere meanwhile.
        step: the checkpoint is `checkpoint-<step>`.
        wait: brings all processes together.

    Yields:
        Where the checkpoint will lie, relative to both places, once it has been written.
    """
    output_dir = Path(args.output_dir)
    staging = output_dir / UNFINISHED
    if args.should_save:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
    wait()
    args.output_dir = str(staging)
    try:
        with guards.explain_full_disk(staging):
            yield staging
    finally:
        args.output_dir = str(output_dir)
    wait()
    if args.should_save:
        (written,) = staging.rglob(f"checkpoint-{step}")
        final = output_dir / written.relative_to(staging)
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():
            final.rename(staging / "replaced")
        os.replace(written, final)
        shutil.rmtree(staging)
    wait()


def set_aside_unfinished(output_dir: Path) -> Path | None:
    """Move a half-written checkpoint out of the way; returns where it lies now, or None if there was none."""
    unfinished = output_dir / UNFINISHED
    if not unfinished.is_dir():
        return None
    if not any(unfinished.iterdir()):  # the run ended between the rename of a whole checkpoint and its tidying up
        unfinished.rmdir()
        return None
    aside = output_dir / f"{UNFINISHED}.set_aside"
    shutil.rmtree(aside, ignore_errors=True)
    unfinished.rename(aside)
    return aside


def find_checkpoints(output_dir: Path) -> list[Path]:
    """The whole checkpoints of a run, oldest step first."""
    found = []
    for path in output_dir.glob("checkpoint-*"):
        step = re.fullmatch(r"checkpoint-(\d+)", path.name)
        if step and (path / WEIGHTS).is_file() and (path / "trainer_state.json").is_file():
            found.append((int(step[1]), path))
    return [path for _, path in sorted(found)]


def rotate(output_dir: Path, keep: int | None, best: Path | None) -> None:
    """Delete the oldest checkpoints beyond `keep`; the best one stays."""
    if keep is None:
        return
    checkpoints = find_checkpoints(output_dir)
    for path in checkpoints[: max(0, len(checkpoints) - keep)]:
        if best is None or path.resolve() != best.resolve():
            shutil.rmtree(path)


@torch.no_grad()
def share_buffers(tensors: list[torch.Tensor]) -> None:
    """Give every process the first one's buffers: batch-norm statistics are each process's own while it trains."""
    for tensor in tensors:
        torch.distributed.broadcast(tensor, src=0)
