"""The methods by key. A new method is a folder with a `METHOD` and one line here."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mlic_hf.methods.base import Weighted
from mlic_hf.modeling import MultiLabelModel

FOLDERS = {
    "supervised": "mlic_hf.methods.supervised",
    "psd": "mlic_hf.methods.psd",
    "l2d": "mlic_hf.methods.l2d",
    "mulcon": "mlic_hf.methods.mulcon",
    "co_occurrence": "mlic_hf.methods.co_occurrence",
    "oass": "mlic_hf.methods.oass",
}


@dataclass(frozen=True)
class MethodSpec:
    """What the library knows of a method.

    Attributes:
        key: its name in folders, flags, recipes and cards.
        title: its name in prose.
        config: the dataclass of its settings.
        objectives: (config, student, teacher) -> its weighted objectives.
        citation: BibTeX.
        needs_teacher: whether it distils.
    """

    key: str
    title: str
    config: type
    objectives: Callable[[Any, Any, Any], Sequence[Weighted]]
    citation: str = ""
    needs_teacher: bool = False


def get_method(key: str) -> MethodSpec:
    """The method of a key.

    Raises:
        ValueError: for a key that is not known, naming those that are.
    """
    if key not in FOLDERS:
        raise ValueError(f"There is no method {key!r}; the methods are {', '.join(FOLDERS)}.")
    return importlib.import_module(FOLDERS[key]).METHOD


def extra_objectives(terms: dict[str, float], student: MultiLabelModel, teacher: Any) -> list[Weighted]:
    """Objectives borrowed from other methods, so that methods combine.

    Args:
        terms: "method.objective" -> weight, e.g. {"mulcon.contrast": 0.5}; the method's default settings hold.
        student: the model that is trained.
        teacher: what teaches it, or None.

    Raises:
        ValueError: for a term that names no objective of its method.
    """
    borrowed = []
    for term, weight in terms.items():
        key, _, name = term.partition(".")
        spec = get_method(key)
        offered = {w.objective.name: w for w in spec.objectives(spec.config(), student, teacher)}
        if name not in offered:
            raise ValueError(f"{term!r} names no loss of {key}: it has {', '.join(sorted(offered))}.")
        borrowed.append(Weighted(offered[name].objective, weight, offered[name].per_image))
    return borrowed
