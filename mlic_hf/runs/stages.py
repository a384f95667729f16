"""The one run behind `train`, `distill`, `contrast` and `object_aware`: stages joined by folders on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate import PartialState

from mlic_hf.methods.psd.part_teachers import load_part_teachers
from mlic_hf.methods.registry import get_method
from mlic_hf.methods.teachers import as_teacher
from mlic_hf.runs.data import Data, load_data
from mlic_hf.runs.fit import fit, only
from mlic_hf.runs.options import RunOptions
from mlic_hf.runs.settings import Settings
from mlic_hf.runs.teacher_cache import open_cache
from mlic_hf.runs.teachers import (
    TEACHER_SETTINGS,
    make_jobs,
    make_partitions,
    teacher_options,
    teacher_settings,
    train_all,
)


def run(settings: Settings) -> dict[str, dict[str, Any]]:
    """Train what the settings ask for; stages that are done are read, not repeated.

    Returns:
        The run.json of each stage: "teacher" and "alone" where there are any, and "student".

    Raises:
        ValueError: for a teacher that nobody would ask.
    """
    refuse_idle_teachers(settings.run)
    data = load_data(settings.run)
    if get_method(settings.run.method).needs_teacher:
        return distil(settings, data)
    if settings.run.method == "mulcon" and settings.method.stage == 2 and settings.run.init_from is None:
        return two_stages(settings, data)
    return {"student": fit(settings, data)}


def refuse_idle_teachers(run: RunOptions) -> None:
    """Refuse a setting that names a teacher which the method does not ask.

    Raises:
        ValueError: naming the setting and those that the method reads.
    """
    reads = teacher_settings(run.method)
    idle = [name for name in TEACHER_SETTINGS if name not in reads and getattr(run, name) is not None]
    if idle:
        raise ValueError(
            f"{idle[0]} is given, but {run.method} asks {' or '.join(reads) or 'no teacher'}: leave it out, or choose "
            "another method."
        )


def two_stages(settings: Settings, data: Data) -> dict[str, dict[str, Any]]:
    """MulCon's stage one, then stage two from its averaged weights."""
    folder = Path(settings.training.output_dir)
    first = {"mulcon.stage": 1, "mulcon.stage_one": {}, "output_dir": str(folder / "stage_one")}
    outcome = {"stage_one": fit(only(settings, settings.method.stage_one, **first), data)}
    second = settings.but(output_dir=str(folder / "student"), init_from=str(folder / "stage_one"))
    return outcome | {"student": fit(second, data)}


def distil(settings: Settings, data: Data) -> dict[str, dict[str, Any]]:
    """Teacher (unless one is given), the student alone (if asked for), the distilled student."""
    outcome: dict[str, dict[str, Any]] = {}
    folder = Path(settings.training.output_dir)
    # Teachers are loaded before the student alone is trained, so that a wrong one is refused at once.
    teacher, place = teach(settings, data, folder, outcome)
    if settings.run.student_alone:
        stage = only(settings, settings.run.alone_run, method="supervised", output_dir=str(folder / "alone"))
        outcome["alone"] = fit(stage, data)
    outcome["student"] = fit(settings.but(output_dir=str(folder / "student"), **place), data, teacher)
    return outcome


def teach(settings: Settings, data: Data, folder: Path, outcome: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    """What teaches (a cache of answers where there is one), and the setting that names it."""
    cache = open_cache(settings, data)
    if cache is not None:
        return cache, {}
    return (part_teachers if settings.run.method == "psd" else one_teacher)(settings, data, folder, outcome)


def one_teacher(settings: Settings, data: Data, folder: Path, outcome: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    """The teacher that is given, or one trained now on all labels; and the setting that names it."""
    place = settings.run.teacher
    if place is None:
        stage = only(settings, settings.run.teacher_run, method="supervised", output_dir=str(folder / "teacher"))
        outcome["teacher"] = fit(stage, data)
        place = str(folder / "teacher")
    options = teacher_options(settings.run)
    return as_teacher(place, data.labels.names, settings.run.teacher_half, options), {"teacher": place}


def part_teachers(settings: Settings, data: Data, folder: Path, outcome: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    """PSD's teachers: those of a folder, or partitions made and teachers trained now as parallel jobs."""
    place = Path(settings.run.teachers or folder / "teachers")
    if settings.run.teachers is None:
        if PartialState().is_main_process:
            jobs = make_jobs(settings, make_partitions(settings, data, place), place)
            train_all(jobs, settings.method.jobs)
        PartialState().wait_for_everyone()
    own = settings.method
    teachers = load_part_teachers(place, data.labels.names, own.kinds, settings.run.teacher_half, own.stack_teachers)
    return teachers, {"teachers": str(place)}
