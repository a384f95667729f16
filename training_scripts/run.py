"""The one run behind train.py, distill.py, contrast.py and object_aware.py: stages joined by folders on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate import PartialState

from mlic_hf.methods.registry import get_method
from training_scripts.data import Data, load_data
from training_scripts.fit import fit, only
from training_scripts.models import load_teacher
from training_scripts.parsing import Settings, parse
from training_scripts.results import print_table


def main(description: str, default_method: str, default_config: str | None = None) -> None:
    """Parse, run the stages, print the table."""
    settings = parse(description, default_method, default_config)
    outcome = run(settings)
    if PartialState().is_main_process:
        print_table(outcome, Path(settings.training.output_dir))


def run(settings: Settings) -> dict[str, dict[str, Any]]:
    """Train what the settings ask for; stages that are done are read, not repeated.

    Returns:
        The run.json of each stage: "teacher" and "alone" where there are any, and "student".
    """
    data = load_data(settings.run)
    if not get_method(settings.run.method).needs_teacher:
        return {"student": fit(settings, data)}
    return distil(settings, data)


def distil(settings: Settings, data: Data) -> dict[str, dict[str, Any]]:
    """Teacher (unless one is given), the student alone (if asked for), the distilled student."""
    outcome: dict[str, dict[str, Any]] = {}
    folder = Path(settings.training.output_dir)
    teacher_folder = settings.run.teacher
    if teacher_folder is None:
        stage = only(settings, settings.run.teacher_run, method="supervised", output_dir=str(folder / "teacher"))
        outcome["teacher"] = fit(stage, data)
        teacher_folder = str(folder / "teacher")
    # Loaded before the student alone is trained, so that a wrong teacher is refused at once.
    teacher = load_teacher(teacher_folder, data.labels.names, settings.run.teacher_half)
    if settings.run.student_alone:
        stage = only(settings, settings.run.alone_run, method="supervised", output_dir=str(folder / "alone"))
        outcome["alone"] = fit(stage, data)
    outcome["student"] = fit(
        settings.but(output_dir=str(folder / "student"), teacher=teacher_folder), data, teacher
    )
    return outcome
