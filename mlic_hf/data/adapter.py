"""Any `Dataset`, stream, list or table of pictures and labels as rows of one shape."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from mlic_hf.data.adapted_rows import AdaptedRows, AdaptedStream, RowShape
from mlic_hf.data.columns import (
    HOUSE,
    cells_of,
    choose_column,
    class_names,
    image_columns,
    is_cheap,
    is_house,
    is_single,
    label_columns,
    narrow,
)
from mlic_hf.data.imperfect_labels import UNLISTED
from mlic_hf.data.label_column import FORMS, LabelColumn, as_list, form_of_type, recognise
from mlic_hf.data.label_space import LabelSpace
from mlic_hf.data.sharded_rows import ShardedRows, is_stream

logger = logging.getLogger(__name__)


def adapt(
    data: Any,
    *,
    labels: Sequence[str] | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    label_form: str | None = None,
    unlisted: str = "negative",
) -> tuple[Any, LabelSpace]:
    """Rows {image, image_id, labels, ignored} of any data set, and the label space of their ids.

    Nothing is copied and no picture decoded: a row is translated when it is asked for. Rows that have the
    schema of `dataset_builders` come back as they are. The label column is read once in full (a list of whole
    numbers means ids or a multi-hot row, which only the whole column shows); of a stream only the first row.

    Args:
        data: a `datasets.Dataset` or `IterableDataset` (one split), `ShardedRows`, a sequence of dicts, a torch
            Dataset or IterableDataset of dicts, or a dict of columns. A torch Dataset is read once in full, pictures
            too, unless both `labels` and `label_form` are given.
        labels: the label names of the result, in order. They are matched by name where the data has names;
            else they name its ids or multi-hot cells. None takes the data's own: ClassLabel names in their
            order, or all texts sorted.
        image_column: where the pictures are: Pillow images, `datasets.Image`, paths, bytes, {bytes, path} or
            uint8 arrays (height, width[, 3]; tensors may be (3, height, width)). None looks for it.
        label_column: where the labels are: lists of names, of ids or of ClassLabel, multi-hot rows (1, 0; -1,
            None and NaN are unknown), or one ClassLabel a row. None looks for it.
        label_form: "names", "ids" or "multi_hot" where the column cannot tell; None recognises it.
        unlisted: what a label means that a row does not list: "negative", or "unknown" (it joins `ignored`). Multi-hot
            rows say 1, 0 and -1 of every label and have none.

    Returns:
        (rows, label space). Rows are map-style (`datasets.Dataset` or `AdaptedRows`) or, for a stream,
        iterable. `image_id` is the data's own, else the file's name where these differ, else the row's
        number (in a stream: the path or a hash of the picture). `ignored` holds the unknown labels.

    Raises:
        ValueError: columns or form are not clear, names are missing, data and `labels` do not know the same
            names, or a cell is wrong; names the column and the row.
    """
    if unlisted not in UNLISTED:
        raise ValueError(f"unlisted is {unlisted!r}, but must be one of {', '.join(UNLISTED)}.")
    if label_form not in (None, *FORMS):
        raise ValueError(f"label_form is {label_form!r}, but must be one of {', '.join(FORMS)}.")
    if isinstance(data, ShardedRows):
        rows, space = adapt(
            data.rows,
            labels=labels,
            image_column=image_column,
            label_column=label_column,
            label_form=label_form,
            unlisted=unlisted,
        )
        return data.over(rows), space
    wanted = None if labels is None else LabelSpace(labels)
    features: Mapping[str, Any] = getattr(data, "features", None) or {}
    adapted = getattr(data, "label_space", None)  # of rows that were adapted before
    if unlisted == "negative" and is_house(features) and {image_column, label_column} <= {None, *HOUSE}:
        own = LabelSpace(class_names(features["labels"]))
        if wanted is None or wanted == own:
            return data, own
    data = _as_rows(data)
    stream = is_stream(data)
    data = _plain(data)
    first = _first_row(data, stream)
    columns = list(first)
    image = choose_column(image_column, "image", image_columns(features, first), columns, "image")
    label = choose_column(label_column, "labels", label_columns(features, first), columns, "label")
    if not stream:
        data = narrow(data, {image, label, "image_id", "ignored"} & set(columns))
    declared = class_names(features.get(label)) if adapted is None else adapted.names
    reader = _label_column(data, first, label, declared, is_single(features.get(label)), wanted, label_form, stream)
    if unlisted == "unknown" and reader.form == "multi_hot":
        raise ValueError(
            f"unlisted is 'unknown', but the column {label!r} is multi-hot and lists every label; write -1 for "
            "what is unknown."
        )
    shape = RowShape(image, reader, label, "image_id" in columns, "ignored" in columns, unlisted)
    (logger.info if {image, label} <= set(HOUSE) else logger.warning)(
        "Pictures are read from the column %r, labels from %r as %s.", image, label, reader.form
    )
    if not stream:
        return AdaptedRows(data, shape), reader.space
    return (_map_stream(data, shape, columns) if hasattr(data, "map") else AdaptedStream(data, shape)), reader.space


def adapt_splits(splits: Mapping[str, Any], **options: Any) -> tuple[dict[str, Any], LabelSpace]:
    """`adapt` for every split of a data set, in one label space.

    Args:
        splits: split name to data, such as a `DatasetDict`.
        options: those of `adapt`. Without `labels`, texts of all splits together are the label names. `unlisted` holds
            for the split train alone: nothing can be measured where only positives are known.

    Returns:
        (split name to rows, their label space).

    Raises:
        ValueError: an unknown option, splits that know different ClassLabel names, or as `adapt`.
    """
    known = ("labels", "image_column", "label_column", "label_form", "unlisted")
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"Unknown option {unknown[0]!r}; expected one of {', '.join(known)}.")
    adapted: dict[str, tuple[Any, LabelSpace]] = {}
    for name, data in splits.items():
        try:
            adapted[name] = adapt(data, **(options if name == "train" else options | {"unlisted": "negative"}))
        except ValueError as error:
            raise ValueError(f"Split {name!r}: {error}") from None
    spaces = {space for _, space in adapted.values()}
    if len(spaces) > 1:
        return adapt_splits(splits, **options | {"labels": sorted({name for space in spaces for name in space})})
    return {name: rows for name, (rows, _) in adapted.items()}, spaces.pop()


def _as_rows(data: Any) -> Any:
    """The data as something with rows: a dict of columns becomes a list."""
    if isinstance(data, Mapping) and any(hasattr(part, "features") for part in data.values()):
        raise ValueError(f"The data has the splits {', '.join(data)}; pass one of them, such as data['train'].")
    if isinstance(data, Mapping):
        lengths = {name: len(column) for name, column in data.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"A dict of columns must have columns of one length, but these have {lengths}.")
        return [dict(zip(data, cells)) for cells in zip(*data.values())]
    if isinstance(data, (str, os.PathLike)):
        raise ValueError(f"{data!r} is a name, not data; load it with dataset_builders.load_splits.")
    if not hasattr(data, "__getitem__") and (not hasattr(data, "__iter__") or iter(data) is data):
        raise ValueError(
            f"A {type(data).__name__} cannot be read again and again; a Dataset, IterableDataset, list of "
            "dicts or dict of columns was expected."
        )
    return data


def _plain(data: Any) -> Any:
    """A `datasets` object whose rows are plain Python, pictures as {bytes, path}; anything else as it is."""
    if not hasattr(data, "cast_column"):
        return data
    if (getattr(data, "format", None) or {}).get("type") == "custom":
        raise ValueError("The dataset has a transform of its own (set_transform); reset it with reset_format().")
    data = data.with_format(None)
    for name, feature in (data.features or {}).items():
        if type(feature).__name__ == "Image" and feature.decode:
            data = data.cast_column(name, type(feature)(mode=feature.mode, decode=False))
    return data


def _first_row(data: Any, stream: bool) -> dict[str, Any]:
    row = next(iter(data), None) if stream else (data[0] if len(data) else None)
    if row is None:
        raise ValueError("The data has no rows, so nothing is known about it; check split and filters.")
    if not isinstance(row, Mapping):
        raise ValueError(f"A row is a {type(row).__name__}, but a dict with a picture and its labels was expected.")
    return dict(row)


def _label_column(
    data: Any,
    first: Mapping[str, Any],
    label: str,
    declared: Sequence[str],
    single: bool,
    wanted: LabelSpace | None,
    form: str | None,
    stream: bool,
) -> LabelColumn:
    """How the label column is read; where it can be read cheaply, every cell is checked now."""
    if declared:
        if form not in (None, "ids"):
            raise ValueError(f"The column {label!r} is declared as ClassLabel ids, so label_form={form!r} is wrong.")
        form = "ids"
    if stream and form is None:
        form = form_of_type(first[label], label)
    if wanted is None and not declared:
        if stream or form in ("ids", "multi_hot"):
            raise ValueError(f"The column {label!r} does not name its labels; pass labels=[...], all in order.")
        names = _names_of(data, label, "ignored" in first)
        if not names:
            raise ValueError(f"Not one row has a label in the column {label!r}; check it, or pass labels=[...].")
        wanted = LabelSpace(names)
    space = LabelSpace(declared) if wanted is None else wanted
    if declared and set(declared) != set(space):
        _refuse_other_names(declared, space, label)
    if form is None:
        form = recognise(cells_of(data, label), len(space), label)
    column = LabelColumn(form, declared or space.names, space, single)
    if is_cheap(data) and not stream:
        if form == "names":
            _refuse_other_names(_names_of(data, label, "ignored" in first), space, label, all_needed=False)
        for place, cell in enumerate(cells_of(data, label)):
            column.read(cell, f"Row {place}, column {label!r},")
    return column


def _names_of(data: Any, label: str, with_ignored: bool) -> list[str]:
    """All texts of a label column and of the column `ignored`, sorted."""
    names: set[Any] = set()
    for column in [label, "ignored"] if with_ignored else [label]:
        for place, cell in enumerate(cells_of(data, column)):
            if cell is not None or column == label:
                names.update(as_list(cell, f"Row {place}, column {column!r},"))
    if numbers := [name for name in names if not isinstance(name, str)]:
        raise ValueError(
            f"The column {label!r} holds {numbers[0]!r}, and nothing says what that is called; pass "
            "labels=[...], the names in the order of the ids or of the multi-hot cells."
        )
    return sorted(names)


def _refuse_other_names(own: Sequence[str], space: LabelSpace, label: str, all_needed: bool = True) -> None:
    """Raise where the data's names and those asked for differ."""
    for names, what in (
        ([name for name in own if name not in space], "are not among the labels asked for"),
        ([name for name in space if name not in own] if all_needed else [], "are asked for, but unknown to the data"),
    ):
        if names:
            listed = ", ".join(map(repr, names[:12])) + (", ..." if len(names) > 12 else "")
            raise ValueError(f"{len(names)} labels of the column {label!r} {what}: {listed}.")


def _map_stream(data: Any, shape: RowShape, columns: Sequence[str]) -> Any:
    """A `datasets.IterableDataset` with the house's schema; it keeps its shards, its state and its epoch."""
    import datasets

    labels = datasets.Sequence(datasets.ClassLabel(names=list(shape.reader.space.names)))
    features = datasets.Features(
        {
            "image": datasets.Image(decode=False),
            "image_id": datasets.Value("string"),
            "labels": labels,
            "ignored": labels,
        }
    )
    return data.map(shape, remove_columns=[name for name in columns if name not in HOUSE], features=features)
