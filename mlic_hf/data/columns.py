"""Which columns of a data set hold the picture and its labels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from PIL import Image

from mlic_hf.data.label_column import is_unknown

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
HOUSE = ("image", "image_id", "labels", "ignored")


def choose_column(given: str | None, habit: str, candidates: Sequence[str], columns: Sequence[str], what: str) -> str:
    """The column that was named, or the only one that can be meant.

    Args:
        given: the name that the user gave, or None.
        habit: the house's own name for it, which wins among several candidates.
        candidates: columns whose content fits.
        columns: all columns, for the message.
        what: "image" or "label", for the message.

    Raises:
        ValueError: no such column, none that fits, or several.
    """
    listed = ", ".join(map(repr, columns))
    if given is not None:
        if given not in columns:
            raise ValueError(f"{what}_column is {given!r}, but the columns are {listed}.")
        return given
    if habit in candidates:
        return habit
    if len(candidates) == 1:
        return candidates[0]
    found = f"{', '.join(map(repr, candidates))} could all be it" if candidates else "none looks like it"
    raise ValueError(f"The {what} column is not clear ({found}); name it with {what}_column=. Columns: {listed}.")


def image_columns(features: Mapping[str, Any] | None, row: Mapping[str, Any]) -> list[str]:
    """Columns that hold pictures: by the feature `datasets.Image`, else by the values of a row."""
    declared = [name for name, feature in (features or {}).items() if type(feature).__name__ == "Image"]
    return declared or [name for name, value in row.items() if is_image(value)]


def label_columns(features: Mapping[str, Any] | None, row: Mapping[str, Any]) -> list[str]:
    """Columns that can hold a list of labels, else single ClassLabel columns."""
    features = {name: feature for name, feature in (features or {}).items() if name != "ignored"}
    named = [name for name, feature in features.items() if class_names(feature) and not is_single(feature)]
    fitting = named or [name for name, value in row.items() if name != "ignored" and is_labels(value)]
    return fitting or [name for name, feature in features.items() if is_single(feature)]


def class_names(feature: Any) -> tuple[str, ...]:
    """The names of a ClassLabel feature, or of a list of it; () for anything else."""
    inner = feature[0] if isinstance(feature, list) and feature else getattr(feature, "feature", feature)
    names = getattr(inner, "names", None)
    return tuple(names) if names and isinstance(names, (list, tuple)) else ()


def is_single(feature: Any) -> bool:
    """Whether a feature is one ClassLabel a row."""
    return type(feature).__name__ == "ClassLabel"


def is_image(value: Any) -> bool:
    """Whether a value looks like a picture: Pillow, bytes, {bytes, path}, an array or the path of an image file."""
    if isinstance(value, Mapping):
        return bool({"bytes", "path"} & set(value)) and set(value) <= {"bytes", "path"}
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value).lower().endswith(IMAGE_ENDINGS)
    return isinstance(value, (bytes, Image.Image)) or getattr(value, "ndim", 0) in (2, 3)


def is_labels(value: Any) -> bool:
    """Whether a value looks like a list of labels: texts, whole numbers, or cells of a multi-hot row."""
    if getattr(value, "ndim", 0) == 1:
        value = value.tolist()
    if not isinstance(value, (list, tuple, set, frozenset)):
        return False
    plain = [cell.item() if hasattr(cell, "item") else cell for cell in value]
    return all(isinstance(cell, (str, int)) or is_unknown(cell) or cell in (0.0, 1.0) for cell in plain)


def is_house(features: Mapping[str, Any] | None) -> bool:
    """Whether the features are the schema of dataset_builders: {image, image_id, labels[, ignored]}."""
    if not features or not {"image", "image_id", "labels"} <= set(features):
        return False
    lists = [features[name] for name in ("labels", "ignored") if name in features]
    return (
        type(features["image"]).__name__ == "Image"
        and getattr(features["image_id"], "dtype", None) == "string"
        and all(class_names(feature) and not is_single(feature) for feature in lists)
        and len({class_names(feature) for feature in lists}) == 1
    )


def narrow(data: Any, columns: Iterable[str]) -> Any:
    """The same rows with these columns only, where the data keeps columns apart."""
    return data.select_columns(sorted(columns)) if hasattr(data, "select_columns") else data


def is_cheap(data: Any) -> bool:
    """Whether reading the labels does not read the pictures."""
    return hasattr(data, "select_columns") or isinstance(data, (list, tuple))


def cells_of(data: Any, column: str) -> Iterator[Any]:
    """The values of one column, row by row."""
    rows = narrow(data, [column]) if hasattr(data, "select_columns") else (data[i] for i in range(len(data)))
    for row in rows:
        yield row[column]
