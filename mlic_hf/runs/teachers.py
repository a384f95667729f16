"""PSD's first two stages: partitions, and one teacher a part, trained as parallel jobs.

A teachers' folder holds `<kind>/partition.json` and `<kind>/part_<i>/`, each part a run of train.py of its own.
"""

from __future__ import annotations

import hashlib
import json
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
from accelerate import PartialState
from torch.utils.data import DataLoader

from mlic_hf.data import co_occurrence_counts, collate, transform_preset
from mlic_hf.hub.privacy import without_secrets
from mlic_hf.methods.psd.logit_cache import LogitCache, compute_cache, load_cache, save_cache
from mlic_hf.methods.psd.part_teachers import PartTeachers
from mlic_hf.methods.psd.partition import FILE_NAME, Partition
from mlic_hf.methods.psd.partition_labels import partition_labels
from mlic_hf.methods.views import PixelSpec
from mlic_hf.runs.data import Data, training_set
from mlic_hf.runs.fit import RUN, only, same_settings
from mlic_hf.runs.models import load_teacher
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
    """One teacher: its part, its folder, its settings."""

    kind: str
    part: int
    labels: Sequence[str]
    settings: Settings

    @property
    def folder(self) -> Path:
        return Path(self.settings.training.output_dir)

    def told(self) -> dict[str, Any] | None:
        """run.json of a finished teacher with these settings, else None."""
        path = self.folder / RUN
        if not path.is_file():
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if found["finished"] and same_settings(found, self.settings) else None


def make_partitions(settings: Settings, data: Data, folder: Path) -> dict[str, Path]:
    """Write the partitions that the settings ask for and that are not there; returns their files by kind."""
    rows = data.images(settings.run.train_split, "train_split").select_columns(["labels"])[:]["labels"]
    counts, occurrences = co_occurrence_counts(rows, len(data.labels))
    files = {}
    for kind in settings.method.kinds:
        files[kind] = folder / kind / FILE_NAME
        if not files[kind].is_file():
            partition_labels(
                counts,
                occurrences,
                data.labels.names,
                kind,
                settings.method.parts,
                source=f"{data.described['name']} {settings.run.train_split}",
            ).save(files[kind])
    return files


def make_jobs(settings: Settings, partitions: dict[str, Path], folder: Path) -> list[Job]:
    """One job for every part of every partition."""
    jobs = []
    for kind, file in partitions.items():
        for part, labels in enumerate(Partition.load(file).parts):
            own = {
                "method": "supervised",
                "supervised.loss": "asl",
                "partition": str(file.resolve()),
                "part": part,
                "output_dir": str(folder / kind / f"part_{part}"),
            }
            jobs.append(Job(kind, part, labels, only(settings, {**settings.run.teacher_run, **own})))
    return jobs


def train_all(jobs: Sequence[Job], at_once: int) -> list[dict[str, Any]]:
    """Run the jobs that are not finished, a bounded number at once; a broken one resumes when started again.

    Every job is a process with a fixed number of threads, so that results do not depend on how many run together.

    Args:
        jobs: all teachers.
        at_once: how many run together; 0 for one a GPU, or one a CPU core without.

    Returns:
        run.json of every job, in their order.

    Raises:
        ValueError: naming the jobs that failed and their logs.
    """
    from tqdm import tqdm

    gpus = torch.cuda.device_count()
    at_once = at_once or gpus or os.cpu_count() or 1
    waiting = [job for job in jobs if job.settings.run.overwrite or job.told() is None]
    running: dict[int, tuple[Job, subprocess.Popen]] = {}
    failed: list[Job] = []
    bar = tqdm(total=len(jobs), initial=len(jobs) - len(waiting), desc="teachers", unit="part")
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
    bar.close()
    if failed:
        logs = "; ".join(f"{job.kind} part {job.part}: {job.folder / 'log.txt'}" for job in failed)
        raise ValueError(f"{len(failed)} of {len(jobs)} teachers failed; their logs: {logs}. Start again to resume.")
    return [told for job in jobs if (told := job.told()) is not None]


def start(job: Job, gpu: int | None) -> subprocess.Popen:
    """Start train.py for one part, its output in log.txt."""
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


def load_part_teachers(settings: Settings, data: Data, folder: Path) -> PartTeachers:
    """The teachers of a folder, matched to the data's labels by name.

    Raises:
        FileNotFoundError: if a partition or a teacher is missing.
        ValueError: if labels do not match.
    """
    partitions = {kind: Partition.load(folder / kind / FILE_NAME) for kind in settings.method.kinds}
    teachers: dict[str, list] = {}
    for kind, partition in partitions.items():
        teachers[kind] = []
        for part in range(partition.num_parts):
            place = folder / kind / f"part_{part}"
            if not (place / "config.json").is_file():
                raise FileNotFoundError(
                    f"There is no teacher of part {part} of the {kind} partition in {place}; train it with "
                    "`mlic train_teachers`."
                )
            teachers[kind].append(load_teacher(str(place), None, settings.run.teacher_half))
    return PartTeachers(teachers, partitions, data.labels.names, settings.method.stack_teachers)


def cached_logits(settings: Settings, data: Data, teachers: PartTeachers, folder: Path) -> LogitCache:
    """The teachers' logits of all training images, computed once and kept in the teachers' folder.

    Raises:
        ValueError: if the training images are augmented at random, so that no two epochs see the same.
    """
    run = settings.run
    transform = transform_preset(run.transform, run.image_size, **run.transform_options)
    if not transform.deterministic:
        raise ValueError(
            f"psd.cache_logits needs images without random draws, but the transform {run.transform!r} draws some: "
            "use --transform eval, or leave the cache out."
        )
    size = max(run.image_size, teachers.pixels.image_size)
    source = PixelSpec(size, teachers.pixels.mean, teachers.pixels.std)
    identity = {"data": data.described, "transform": vars(transform), "teachers": teacher_hashes(folder)}
    file = folder / "logits.safetensors"
    cache = load_cache(file, identity, teachers.pixels)
    if cache is None:
        images = training_set(run, data, source, views=1, seed=0)
        batches = DataLoader(images, settings.training.per_device_eval_batch_size, collate_fn=collate)
        cache = compute_cache(teachers, batches, source)
        if PartialState().is_main_process:
            save_cache(cache, file, identity)
        PartialState().wait_for_everyone()
    return cache


def teacher_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every teacher's weights."""
    weights = sorted(folder.glob("*/part_*/model.safetensors"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in weights}
