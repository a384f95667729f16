"""Runs as processes of their own, a bounded number at once, one a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from mlic_hf.hub.privacy import without_secrets
from mlic_hf.runs.settings import Settings

#: what a launcher sets; a job is a process of its own and must not take part in its parent's group
LAUNCHER = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "GROUP_RANK",
)


@dataclass
class Job:
    """A run to be made: its name in messages, its settings, and with them its folder."""

    name: str
    settings: Settings

    @property
    def folder(self) -> Path:
        return Path(self.settings.training.output_dir)


def run_jobs(jobs: Sequence[Job], at_once: int, unit: str) -> list[Job]:
    """Run jobs, a bounded number at once; a broken one resumes when it is started again.

    Every job is a process with a fixed number of threads, so that results do not depend on how many run together.

    Args:
        jobs: what is to be run; each skips what is done in its folder.
        at_once: how many run together; 0 for one a GPU, or one a CPU core without.
        unit: what one job is, for the progress bar.

    Returns:
        The jobs that failed.
    """
    from tqdm import tqdm

    gpus = torch.cuda.device_count()
    at_once = at_once or gpus or os.cpu_count() or 1
    waiting, running, failed = list(jobs), dict[int, tuple[Job, subprocess.Popen]](), list[Job]()
    with tqdm(total=len(jobs), unit=unit, disable=not jobs) as bar:
        while waiting or running:
            for slot in sorted(set(range(at_once)) - set(running)):
                if waiting:
                    job = waiting.pop(0)
                    running[slot] = (job, start(job, slot % gpus if gpus else None))
            time.sleep(0.2)
            for slot, (job, process) in list(running.items()):
                if process.poll() is not None:
                    del running[slot]
                    failed += [job] if process.returncode else []
                    bar.update(0 if process.returncode else 1)
    return failed


def logs_of(failed: Sequence[Job]) -> str:
    """Where to read why jobs failed."""
    return "; ".join(f"{job.name}: {job.folder / 'log.txt'}" for job in failed)


def start(job: Job, gpu: int | None) -> subprocess.Popen:
    """Start `mlic train` with a job's settings, its output in log.txt."""
    job.folder.mkdir(parents=True, exist_ok=True)
    recipe = job.folder / "settings.yaml"
    values = {name: value for name, value in job.settings.values.items() if name != "config"}
    recipe.write_text(yaml.safe_dump(nested(without_secrets(values))), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name not in LAUNCHER}
    if gpu is None:
        environment |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    else:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        environment["CUDA_VISIBLE_DEVICES"] = visible.split(",")[gpu] if visible else str(gpu)
    with (job.folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "mlic_hf.cli", "train", "--config", str(recipe), "--disable_tqdm", "true"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Flat settings as a recipe: `<method>.<setting>` in sections."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        section, dot, inner = name.partition(".")
        if dot:
            found.setdefault(section, {})[inner] = value
        else:
            found[name] = value
    return found
