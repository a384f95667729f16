"""What is kept of a teacher's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mlic_hf.methods.teacher_cache.encoding import LOGITS
from mlic_hf.methods.teachers.protocol import Teacher
from mlic_hf.methods.views import PixelSpec

#: contents beside the logits, in the order in which they are dropped where there is no room -> the field of a
#: model's output that they are made of
FIELD_OF = {"class_maps": "class_maps", "label_embeddings": "label_embeddings", "pooled": "feature_map"}
CONTENTS = (LOGITS, *FIELD_OF)


def contents_for(asked: Mapping[str, bool]) -> list[str]:
    """The contents that losses need which ask a teacher so (`output_<field>`)."""
    return [LOGITS, *(name for name, field in FIELD_OF.items() if asked.get(f"output_{field}"))]


def answers_of(teacher: Teacher, pixels: Tensor, source: PixelSpec, contents: Sequence[str]) -> dict[str, Tensor]:
    """Content -> what a teacher says of a batch, (B, ...); PSD's logits are "logits.<kind>"."""
    asked: Any = {f"output_{FIELD_OF[name]}": True for name in contents if name in FIELD_OF}
    found = teacher(pixels, source, **asked)
    if not hasattr(found, LOGITS):
        return {f"{LOGITS}.{kind}": logits for kind, logits in found.items()}
    answers = {LOGITS: found.logits}
    for name in contents:
        if name in FIELD_OF:
            value = getattr(found, FIELD_OF[name], None)
            if value is None:
                raise ValueError(f"The teacher gives no {name}; it can be asked for its logits.")
            answers[name] = value.mean(dim=(2, 3)) if name == "pooled" else value
    return answers
