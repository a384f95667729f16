"""What teaches: a small protocol, and what answers by it."""

from __future__ import annotations

from mlic_hf.methods.teachers.any_teacher import as_teacher
from mlic_hf.methods.teachers.classifier import Classifier, ClassifierTeacher, TeacherOptions
from mlic_hf.methods.teachers.mean import MeanTeacher
from mlic_hf.methods.teachers.model import ModelTeacher, list_labels, match_labels
from mlic_hf.methods.teachers.protocol import Teacher, unanswered

__all__ = [
    "Classifier",
    "ClassifierTeacher",
    "MeanTeacher",
    "ModelTeacher",
    "Teacher",
    "TeacherOptions",
    "as_teacher",
    "list_labels",
    "match_labels",
    "unanswered",
]
