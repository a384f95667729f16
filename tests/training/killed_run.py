"""A small run that ends itself with SIGKILL at a chosen moment, to be started again with the same arguments."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from mlic_hf.training import MultiLabelTrainer, checkpoint
from mlic_hf.training.checkpoint import find_checkpoints, set_aside_unfinished
from tests.distributed.every_method import BUILD
from tests.training.tiny import dataset, make_trainer

SETTINGS: dict[str, Any] = {
    "num_train_epochs": 4,
    "save_strategy": "steps",
    "save_steps": 2,
    "eval_strategy": "steps",
    "eval_steps": 2,
    "logging_strategy": "steps",
    "logging_steps": 3,
    "save_total_limit": 2,
}
#: what a run does whose beginning and end are moments: in a step, in an evaluation, while a checkpoint is written,
#: renamed and deleted, while the result is written
ACTIONS: list[tuple[Any, str]] = [
    (MultiLabelTrainer, "compute_loss"),
    (MultiLabelTrainer, "after_step"),
    (MultiLabelTrainer, "prediction_step"),
    (MultiLabelTrainer, "_save_rng_state"),
    (PreTrainedModel, "save_pretrained"),
    (torch, "save"),
    (checkpoint, "save_file"),
    (Path, "write_text"),
    (os, "replace"),
    (shutil, "rmtree"),
]
WRITERS = {"save": 1, "save_file": 1}  # where the path stands among the arguments


class Moments:
    """Counts the moments of a run, notes their names in a file, and ends the process at one of them.

    Args:
        at: the moment that is the last, from 1; 0 for none.
        diary: the file; one line a moment.
    """

    def __init__(self, at: int, diary: Path) -> None:
        self.at, self.count = at, 0
        self.diary = diary.open("a", buffering=1)

    def watch(self) -> None:
        for owner, name in ACTIONS:
            setattr(owner, name, self._around(getattr(owner, name), name))

    def _around(self, action: Callable[..., Any], name: str) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self._pass(f"before {name}")
            result = action(*args, **kwargs)
            if name in WRITERS:
                self._pass(f"half {name}", args[WRITERS[name]])
            self._pass(f"after {name}")
            return result

        return watched

    def _pass(self, name: str, half_written: Any = None) -> None:
        self.count += 1
        self.diary.write(name + "\n")
        if self.count == self.at:
            if half_written is not None:
                os.truncate(half_written, os.path.getsize(half_written) // 2)
            os.kill(os.getpid(), signal.SIGKILL)


def run(
    key: str, folder: str, at: int = 0, images: int = 27, batch: int = 8, train: Any = None, **changes: Any
) -> None:
    """Train a method, from the last whole checkpoint of the folder if there is one.

    Args:
        key: of `BUILD`.
        folder: the run's.
        at: the moment of the kill.
        images: the last batch of an epoch is a partial one.
        batch: images a process.
        train: what is trained on instead of these images.
        **changes: of the settings.
    """
    torch.use_deterministic_algorithms(True)
    place = Path(folder)
    both = BUILD[key]()
    train = dataset(images, kind="train", views=both.views) if train is None else train
    trainer = make_trainer(place, both, train, **{**SETTINGS, **changes}, per_device_train_batch_size=batch)
    rank = trainer.args.process_index
    if rank == 0:
        set_aside_unfinished(place)
    trainer.accelerator.wait_for_everyone()
    checkpoints = find_checkpoints(place)
    diary = place.parent / f"{place.name}.diary"
    Moments(at if rank == 0 else 0, diary if rank == 0 else Path(os.devnull)).watch()
    trainer.train(resume_from_checkpoint=str(checkpoints[-1]) if checkpoints else None)
    trainer.save_model()


def run_script(arguments: list[str], folder: str, cache: str, at: int = 0) -> None:
    """What `mlic train --output_dir folder ...` does, ended at a moment.

    Args:
        arguments: the command line but for the folder.
        folder: the run's.
        cache: where the data set is built.
        at: the moment of the kill.
    """
    import datasets

    from mlic_hf.cli.train_and_tell import train_and_tell

    datasets.config.HF_DATASETS_CACHE = Path(cache)
    datasets.disable_progress_bars()
    sys.argv = ["train.py", *arguments, "--output_dir", folder]
    Moments(at, Path(f"{folder}.diary")).watch()
    train_and_tell("", "supervised")
