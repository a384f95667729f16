"""The methods by key. A new method is a folder with a `METHOD` and one line here."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
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


def spec_of(config: Any) -> MethodSpec:
    """The method whose settings these are.

    Raises:
        ValueError: if no method has settings of this type.
    """
    for key in FOLDERS:
        spec = get_method(key)
        if isinstance(config, spec.config):
            return spec
    raise ValueError(
        f"method is a {type(config).__name__}; expected a key ({', '.join(FOLDERS)}), a method's settings, a mapping "
        "of both to weights, or a list of Weighted objectives."
    )


def build_objectives(method: Any, student: MultiLabelModel, teacher: Any = None) -> list[Weighted]:
    """The weighted objectives that a user's `method` means.

    Args:
        method: a key ("l2d": its default settings), a method's settings (`L2DConfig(weight_mld=5)`), several of them
            as a mapping ({"l2d": L2DConfig(), "mulcon.contrast": 0.5}: a key with its settings or None for the
            default ones, or "key.loss" with the weight of that loss alone), or a list of `Weighted`.
        student: the model that is trained.
        teacher: what teaches it, or None.

    Raises:
        ValueError: for an unknown key, loss or type, or a method that needs a teacher without one.
    """
    if isinstance(method, Mapping):
        whole = {key: value for key, value in method.items() if "." not in key}
        found = [
            weighted
            for key, config in whole.items()
            for weighted in build_objectives(key if config is None else config, student, teacher)
        ]
        return found + extra_objectives({k: v for k, v in method.items() if k not in whole}, student, teacher)
    if isinstance(method, Sequence) and not isinstance(method, str):
        return list(method)
    spec = get_method(method) if isinstance(method, str) else spec_of(method)
    if spec.needs_teacher and teacher is None:
        raise ValueError(f"{spec.title} distils, so it needs a teacher: give one (`teacher`).")
    return list(spec.objectives(spec.config() if isinstance(method, str) else method, student, teacher))


def extra_objectives(terms: Mapping[str, float], student: MultiLabelModel, teacher: Any) -> list[Weighted]:
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
