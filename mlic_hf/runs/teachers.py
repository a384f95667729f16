"""PSD's first two stages: partitions, and one teacher a part, trained as parallel jobs.

A teachers' folder holds `<kind>/partition.json` and `<kind>/part_<i>/`, each part a run of train.py of its own.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlic_hf.data import co_occurrence_counts, label_lists
from mlic_hf.methods.psd.partition import FILE_NAME, Partition
from mlic_hf.methods.psd.partition_labels import partition_labels
from mlic_hf.methods.registry import get_method
from mlic_hf.methods.teachers import TeacherOptions
from mlic_hf.runs.data import Data
from mlic_hf.runs.fit import RUN, only, same_settings
from mlic_hf.runs.jobs import Job, logs_of, run_jobs
from mlic_hf.runs.options import RunOptions
from mlic_hf.runs.settings import Settings

#: the settings that name what teaches
TEACHER_SETTINGS = ("teacher", "teachers", "teacher_cache")


def teacher_settings(method: str) -> tuple[str, ...]:
    """Those of them that a method reads."""
    if not get_method(method).needs_teacher:
        return ()
    return ("teachers" if method == "psd" else "teacher", "teacher_cache")


def teacher_options(run: RunOptions) -> TeacherOptions:
    """How the answers of a given teacher are read: `teacher_labels` and `teacher_options`.

    Raises:
        ValueError: for an option that there is not.
    """
    known = {field.name for field in dataclasses.fields(TeacherOptions)} - {"labels"}
    unknown = sorted(set(run.teacher_options) - known)
    if unknown:
        raise ValueError(
            f"teacher_options has the unknown key {unknown[0]!r}; its keys are {', '.join(sorted(known))}."
        )
    return TeacherOptions(labels=run.teacher_labels, **run.teacher_options)


@dataclass
class PartJob(Job):
    """One teacher: its partition, its part, the labels of that part."""

    kind: str
    part: int
    labels: Sequence[str]

    def told(self) -> dict[str, Any] | None:
        """run.json of a finished teacher with these settings, else None."""
        path = self.folder / RUN
        if not path.is_file():
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if found["finished"] and same_settings(found, self.settings) else None


def make_partitions(settings: Settings, data: Data, folder: Path) -> dict[str, Path]:
    """Write the partitions that the settings ask for and that are not there; returns their files by kind."""
    rows = label_lists(data.images(settings.run.train_split, "train_split"))
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


def make_jobs(settings: Settings, partitions: dict[str, Path], folder: Path) -> list[PartJob]:
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
            teacher = only(settings, {**settings.run.teacher_run, **own})
            jobs.append(PartJob(f"{kind} part {part}", teacher, kind, part, labels))
    return jobs


def train_all(jobs: Sequence[PartJob], at_once: int) -> list[dict[str, Any]]:
    """Train the teachers that are not finished, a bounded number at once (0: one a GPU, or one a core without).

    Returns:
        run.json of every teacher, in their order.

    Raises:
        ValueError: naming the teachers that failed and their logs.
    """
    waiting = [job for job in jobs if job.settings.run.overwrite or job.told() is None]
    failed = run_jobs(waiting, at_once, "teacher")
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(jobs)} teachers failed; their logs: {logs_of(failed)}. Start again to resume."
        )
    return [told for job in jobs if (told := job.told()) is not None]
