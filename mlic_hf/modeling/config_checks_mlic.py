"""What a config's fields may be: types and sizes, refused in a sentence that names the field."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

from transformers import PretrainedConfig

# a stranger's config must not fill the memory or hang; far above anything that was ever trained
MOST_LAYERS = 200
WIDEST = 65_536
LARGEST_IMAGE = 8_192


def require_whole(config: PretrainedConfig, least: int, most: int, *names: str) -> None:
    """Raises ValueError unless each named field is a whole number from `least` to `most`."""
    for name in names:
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(
                f"{type(config).__name__}.{name} is {value!r}; expected a whole number from {least} to {most}."
            )


def require_layers(config: PretrainedConfig, *names: str, least: int = 1) -> None:
    """Raises ValueError unless each named field is a number of layers or steps that can be meant."""
    require_whole(config, least, MOST_LAYERS, *names)


def require_width(config: PretrainedConfig, *names: str) -> None:
    """Raises ValueError unless each named field is a number of channels or heads that can be meant."""
    require_whole(config, 1, WIDEST, *names)


def require_switch(config: PretrainedConfig, *names: str) -> None:
    """Raises ValueError unless each named field is true or false."""
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, bool):
            raise ValueError(f"{type(config).__name__}.{name} is {value!r}; expected true or false.")


def require_share(config: PretrainedConfig, *names: str) -> None:
    """Raises ValueError unless each named field lies in [0, 1)."""
    for name in names:
        value = getattr(config, name)
        if not is_number(value) or not 0 <= value < 1:
            raise ValueError(f"{type(config).__name__}.{name} is {value!r}; expected a number in [0, 1).")


def require_choice(config: PretrainedConfig, name: str, choices: Sequence[Any]) -> None:
    """Raises ValueError unless the named field is one of the choices."""
    value = getattr(config, name)
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{type(config).__name__}.{name} is {value!r}; expected one of {listed}.")


def require_divisible(config: PretrainedConfig, width: str, heads: str) -> None:
    """Raises ValueError unless the attention heads share the width evenly."""
    if getattr(config, width) % getattr(config, heads) != 0:
        raise ValueError(
            f"{type(config).__name__}.{width} is {getattr(config, width)}, which {heads} "
            f"{getattr(config, heads)} does not divide; choose {heads} that divides it."
        )


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; true and false are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def number_list(config: PretrainedConfig, name: str, each: str) -> list[float] | None:
    """A field that holds numbers as a list of floats; None stays None.

    Args:
        config: has the field.
        name: the field.
        each: what one of the numbers belongs to ("a label").

    Raises:
        ValueError: when it is no list of finite numbers.
    """
    value = getattr(config, name)
    if value is None:
        return None
    value = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(value, (list, tuple)) or not all(map(is_number, value)):
        raise ValueError(f"{type(config).__name__}.{name} is {value!r}; expected a list of numbers, one {each}.")
    return [float(number) for number in value]


def shown(value: Any, most: int = 6) -> str:
    """A value as text, of a long list the first few entries."""
    if not isinstance(value, (list, tuple)):
        return repr(value)
    entries = ", ".join(repr(entry) for entry in value[:most])
    return f"[{entries}{', ...' if len(value) > most else ''}]"
