"""Whatever a user calls a teacher, as one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlic_hf.methods.saved_model import load_saved
from mlic_hf.methods.teachers.model import ModelTeacher
from mlic_hf.methods.teachers.protocol import Teacher
from mlic_hf.modeling import MultiLabelModel


def as_teacher(teacher: Any, labels: Sequence[str], half: bool = False) -> Teacher | None:
    """A teacher whose answers follow these labels, matched by name.

    Args:
        teacher: a folder or Hub name of a saved model, a folder of PSD's part teachers, a model, a `Teacher`, or
            None.
        labels: the student's label names.
        half: run a model in half precision.

    Raises:
        ValueError: for labels that do not match, a folder without a model, or something that cannot teach.
    """
    if isinstance(teacher, (str, os.PathLike)):
        if any(Path(teacher).glob("*/partition.json")):
            from mlic_hf.methods.psd.part_teachers import load_part_teachers  # which is made of teachers itself

            return load_part_teachers(Path(teacher), labels, half=half)
        teacher = load_saved(str(teacher), "teacher")
    if isinstance(teacher, MultiLabelModel):
        return ModelTeacher(teacher, labels, half)
    if teacher is None or isinstance(teacher, Teacher):
        return teacher
    raise ValueError(
        f"teacher is a {type(teacher).__name__}; expected a folder or Hub name of a saved model, a model, or an "
        "object with pixels, provides, stage_channels and a call (mlic_hf.methods.teachers.Teacher)."
    )
