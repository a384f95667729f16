"""Checkpoints that are whole or not there: written under a temporary name, renamed, found again.

A checkpoint's root is the better of the plain and the averaged weights; the other lies in `plain/` or `ema/`, and
`weights.json` says which is which and their scores.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

UNFINISHED = "unfinished"
WEIGHTS = "weights.json"
STATE = "loop_state.json"
METHOD = "method.safetensors"
COMPANIONS = "companions.safetensors"
MODEL = "model.safetensors"
#: what belongs to the model in a checkpoint, not to the run that made it
RUN_ONLY = ("optimizer.pt", "scheduler.pt", "scaler.pt", "trainer_state.json", STATE, METHOD, COMPANIONS)


def save_models(
    folder: Path, student: PreTrainedModel, averaged: PreTrainedModel | None, scores: Mapping[str, float | None]
) -> None:
    """Write plain and averaged weights, the better one (by score; the plain one without scores) at the root."""
    plain, ema = scores.get("plain"), scores.get("ema")
    ema_wins = averaged is not None and plain is not None and ema is not None and ema > plain
    root = "ema" if ema_wins else "plain"
    models = {"plain": student} if averaged is None else {"plain": student, "ema": averaged}
    for name, model in models.items():
        model.save_pretrained(folder if name == root else folder / name)
    told = {"format_version": 1, "root": root, "scores": {name: scores.get(name) for name in models}}
    (folder / WEIGHTS).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def read_weights(folder: Path) -> dict[str, Any]:
    """What `weights.json` of a checkpoint says.

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


def load_models(folder: Path, student: nn.Module, averaged: nn.Module | None) -> dict[str, float | None]:
    """Read plain and averaged weights back; returns their scores.

    Raises:
        ValueError: if the checkpoint lacks the average that the run wants.
    """
    told = read_weights(folder)
    for name, model in (("plain", student), ("ema", averaged)):
        if model is None:
            continue
        if name not in told["scores"]:
            raise ValueError(f"{folder} holds no {name} weights, but this run keeps them (ema_decay): start anew.")
        path = (folder if told["root"] == name else folder / name) / MODEL
        model.load_state_dict(load_file(path))
    return told["scores"]


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors to a safetensors file; nothing when there are none."""
    if tensors:
        save_file({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}, path)


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


def publish(checkpoint: Path, output_dir: Path) -> None:
    """Copy the model files of a checkpoint (weights of both kinds, config, processor) to the run's folder."""
    for path in checkpoint.iterdir():
        if path.name in RUN_ONLY or path.name.startswith("rng_state"):
            continue
        target = output_dir / path.name
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        else:
            shutil.copy2(path, target)
