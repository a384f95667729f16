"""The arguments of an image processor in the spellings that transformers has for them, read and checked."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from PIL import Image
from transformers.processing_utils import ImagesKwargs

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
LAYOUTS = ("channels_first", "channels_last")
SETTINGS = (
    *("do_resize", "size", "image_size", "resample", "interpolation", "do_rescale", "rescale_factor"),
    *("do_normalize", "image_mean", "image_std", "do_convert_rgb", "data_format", "input_data_format", "device"),
)


def known_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call that are not None. Raises ValueError for one that this processor does not have."""
    idle = [name for name, value in given.items() if value is None or (value is False and name not in SETTINGS)]
    for name in given:
        if name not in SETTINGS and not (name in idle and name in ImagesKwargs.__annotations__):
            near = difflib.get_close_matches(name, SETTINGS, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else "."
            raise ValueError(f"The image processor has no argument {name!r}{meant} It takes {', '.join(SETTINGS)}.")
    chosen = {name: value for name, value in given.items() if value is not None and name in SETTINGS}
    for name in ("data_format", "input_data_format"):
        if name in chosen:
            chosen[name] = getattr(chosen[name], "value", chosen[name])
            if chosen[name] not in LAYOUTS:
                raise ValueError(f"{name} is {chosen[name]!r}; expected one of {', '.join(LAYOUTS)}.")
    for name in ("do_resize", "do_rescale", "do_normalize", "do_convert_rgb"):
        if not isinstance(chosen.get(name, True), bool):
            raise ValueError(f"{name} is {chosen[name]!r}; expected True or False.")
    if not chosen.get("do_convert_rgb", True):
        raise ValueError("do_convert_rgb is False; the models take RGB pictures only.")
    return chosen


def read_size(size: Any, image_size: Any) -> tuple[int, int] | None:
    """(height, width) in pixels of either spelling; None when neither is given."""
    if size is None and image_size is None:
        return None
    if size is not None and image_size is not None and read_size(size, None) != read_size(None, image_size):
        raise ValueError(f"size is {size!r} and image_size {image_size!r}; give one of them.")
    named = "image_size" if size is None else "size"
    value = image_size if size is None else size
    if isinstance(value, Mapping) or hasattr(value, "height"):
        sides = dict(value) if isinstance(value, Mapping) else {"height": value.height, "width": value.width}
        pair: list[Any] = [sides.get("height"), sides.get("width")] if len(sides) == 2 else [None]
    else:
        pair = list(value) if isinstance(value, (list, tuple)) else [value, value]
    if len(pair) != 2 or not all(type(side) is int and side >= 1 for side in pair):
        raise ValueError(
            f"{named} is {value!r}; expected a whole number of pixels of at least 1, or height and width as in "
            "{'height': 224, 'width': 224}."
        )
    return pair[0], pair[1]


def read_filter(interpolation: Any, resample: Any) -> str | None:
    """The name of a filter, given by name or by Pillow's number; None when neither is given."""
    if resample is not None and interpolation is None:
        names = {int(number): name for name, number in FILTERS.items()}
        if not isinstance(resample, int) or int(resample) not in names:
            raise ValueError(f"resample is {resample!r}; expected one of {', '.join(map(str, names))}.")
        return names[int(resample)]
    if interpolation is not None and interpolation not in FILTERS:
        raise ValueError(f"interpolation is {interpolation!r}; expected one of {', '.join(FILTERS)}.")
    return interpolation


def read_statistics(mean: Any, std: Any) -> tuple[list[float], list[float]]:
    """Mean and standard deviation as three floats each; a single number stands for all three colours."""
    try:
        pair = [
            [float(x) for x in ([value] * 3 if isinstance(value, (int, float)) else value)] for value in (mean, std)
        ]
    except (TypeError, ValueError):
        pair = [[], []]
    if len(pair[0]) != 3 or len(pair[1]) != 3 or min(pair[1]) <= 0:
        raise ValueError(f"mean {mean!r} and std {std!r}: expected three numbers each, std above 0.")
    return pair[0], pair[1]
