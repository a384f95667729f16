"""Refuse options of another type than their data set declares."""

from __future__ import annotations

import math
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", NoneType: "none"}
OF_DATASETS = ("name", "version", "data_dir", "data_files", "description")


def check_options(config: Any) -> None:
    """Hold every option of a data set's config against its annotation.

    Args:
        config: a dataclass whose own options are bool, int, float, str, tuple[str, ...], or one of these or None.

    Raises:
        ValueError: an option has another type; names option, value and what was expected.
    """
    hints = get_type_hints(type(config))
    for option in fields(config):
        if option.name in OF_DATASETS:
            continue
        hint, value = hints[option.name], getattr(config, option.name)
        kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        if not any(_fits(value, kind) for kind in kinds):
            expected = " or ".join(WORDS.get(kind, "a list of texts") for kind in kinds)
            raise ValueError(f"{option.name} is {value!r}; expected {expected}.")


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is tuple:
        return isinstance(value, tuple | list) and all(isinstance(part, str) and part for part in value)
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind
