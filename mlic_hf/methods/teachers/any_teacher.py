"""Whatever a user calls a teacher, as one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from mlic_hf.methods.saved_model import is_hub_name, load_saved
from mlic_hf.methods.teachers.classifier import Classifier, ClassifierTeacher, TeacherOptions
from mlic_hf.methods.teachers.mean import MeanTeacher
from mlic_hf.methods.teachers.model import ModelTeacher, list_labels
from mlic_hf.methods.teachers.onnx_classifier import load_onnx
from mlic_hf.methods.teachers.protocol import Teacher
from mlic_hf.methods.teachers.transformers_classifier import load_classifier, of_model
from mlic_hf.methods.views import PixelSpec
from mlic_hf.modeling import MultiLabelModel


def as_teacher(
    teacher: Any, labels: Sequence[str], half: bool = False, options: TeacherOptions | None = None
) -> Teacher | None:
    """A teacher whose answers follow these labels, matched by name.

    Args:
        teacher: a folder or Hub name of a saved model, a folder of PSD's part teachers or of a teacher cache, an ONNX
            file, a model of this library or an image classifier or dual encoder of transformers, a `Classifier`, a
            `Teacher`, a list of several, whose logits are averaged, or None.
        labels: the student's label names.
        half: run a model in half precision.
        options: how a classifier's labels are matched. A model of this library has to have exactly these labels,
            unless they say `partial` or map some; of its answers only the logits are then used.

    Raises:
        ValueError: for labels that do not match, a folder without a model, or something that cannot teach.
    """
    options = options or TeacherOptions()
    if isinstance(teacher, (list, tuple)):
        each = [as_teacher(one, labels, half, options) for one in teacher]
        return MeanTeacher([one for one in each if one is not None])
    if isinstance(teacher, (str, os.PathLike)):
        from mlic_hf.methods.psd.part_teachers import load_part_teachers  # which is made of teachers itself
        from mlic_hf.methods.teacher_cache.cached_teacher import CachedTeacher  # likewise
        from mlic_hf.methods.teacher_cache.manifest import is_cache

        if is_cache(teacher):
            return CachedTeacher(teacher, labels)
        if any(Path(teacher).glob("*/partition.json")):
            return load_part_teachers(Path(teacher), labels, half=half)
        teacher = load(str(teacher), labels, options)
    if isinstance(teacher, MultiLabelModel):
        if not (options.partial or options.labels):
            return ModelTeacher(teacher, labels, half)
        teacher = of_own_model(teacher)
    elif isinstance(teacher, PreTrainedModel):
        teacher = of_model(teacher, labels, options)
    if isinstance(teacher, Classifier):
        return ClassifierTeacher(teacher, labels, options, half)
    if teacher is None or isinstance(teacher, Teacher):
        return teacher
    raise ValueError(
        f"teacher is a {type(teacher).__name__}; expected a folder or Hub name of a saved model, a model, a function "
        "with its labels (mlic_hf.methods.teachers.Classifier), or an object with pixels, provides, stage_channels "
        "and a call (mlic_hf.methods.teachers.Teacher)."
    )


def load(where: str, labels: Sequence[str], options: TeacherOptions) -> MultiLabelModel | Classifier:
    """What lies in a file or folder or at a Hub name: an ONNX file, somebody's classifier, a model of this library."""
    path = Path(where)
    if path.suffix == ".onnx" and path.is_file():
        return load_onnx(path, options)
    found = load_classifier(where, labels, options) if path.is_dir() or is_hub_name(where) else None
    return load_saved(where, "teacher") if found is None else found


def of_own_model(model: MultiLabelModel) -> Classifier:
    """A model of this library by its logits alone, for labels that are not quite the student's."""
    return Classifier(
        lambda pixels: model(pixels).logits, list_labels(model), PixelSpec.of_model(model), "sigmoid", model
    )
