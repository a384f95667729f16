"""Which teacher this is, by the numbers it computes with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mlic_hf.methods.psd.part_teachers import PartTeachers
from mlic_hf.methods.teachers.classifier import ClassifierTeacher
from mlic_hf.methods.teachers.mean import MeanTeacher
from mlic_hf.methods.teachers.model import ModelTeacher


def teacher_hash(teacher: Any) -> str:
    """16 hex digits: equal for the same weights in the same roles, whatever folder they came from.

    Args:
        teacher: a `Teacher`. One that is not a model of this library names itself by an attribute `fingerprint`.

    Raises:
        ValueError: for a teacher that nothing is known of.
    """
    if isinstance(teacher, ModelTeacher):
        parts = [f"half {teacher.half}", hash_of_tensors(teacher.model.state_dict().values())]
    elif isinstance(teacher, MeanTeacher):
        parts = ["mean", *map(teacher_hash, teacher.teachers)]
    elif isinstance(teacher, PartTeachers):
        parts = [
            f"{kind} {teacher_hash(one)} {place}"
            for kind, of_kind in sorted(teacher.teachers.items())
            for one, place in zip(of_kind, teacher.positions[kind])
        ]
    elif isinstance(teacher, ClassifierTeacher) and teacher.classifier.module is not None:
        read = (teacher.places.tolist(), teacher.answered, teacher.softmax, teacher.merge, teacher.half)
        parts = [str(read), hash_of_tensors(teacher.classifier.module.state_dict().values())]
    elif isinstance(teacher, nn.Module):
        parts = [type(teacher).__name__, hash_of_tensors(teacher.state_dict().values())]
    elif isinstance(getattr(teacher, "fingerprint", None), str):
        parts = [teacher.fingerprint]
    else:
        raise ValueError(
            f"Nothing says which teacher a {type(teacher).__name__} is: give it an attribute `fingerprint`, a text "
            "that changes whenever its answers would."
        )
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def hash_of_tensors(tensors: Iterable[Tensor]) -> str:
    """A hash of tensors whatever their names and order, which differ between a model and its file."""
    return hashlib.sha256("".join(sorted(map(_digest, tensors))).encode()).hexdigest()


def _digest(tensor: Tensor) -> str:
    plain = tensor.detach().cpu().contiguous()
    told = hashlib.sha256(f"{plain.dtype} {tuple(plain.shape)}".encode())
    told.update(plain.reshape(-1).view(torch.uint8).numpy())
    return told.hexdigest()
