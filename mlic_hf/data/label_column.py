"""What the cells of a label column mean: names, ids or multi-hot rows, recognised by the whole column."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mlic_hf.data.label_space import LabelSpace, refuse_multi_hot

FORMS = ("names", "ids", "multi_hot")
TELL = "say it with label_form='ids' or label_form='multi_hot'"


class LabelColumn:
    """Reads the cells of one label column into ids of a label space.

    Args:
        form: "names" (a list of texts), "ids" (a list of whole numbers) or "multi_hot" (a cell a label: 1
            present, 0 absent; -1, None or NaN unknown; bools and floats of these values).
        own: the column's own names, in the order of its ids or of its multi-hot cells.
        space: the label space that is asked for; every name of `own` is in it.
        single: the column holds one id a row instead of a list (a plain ClassLabel).
    """

    def __init__(self, form: str, own: Sequence[str], space: LabelSpace, single: bool = False) -> None:
        self.form = form
        self.own = tuple(own)
        self.space = space
        self.single = single
        self._place = space.positions(own)

    def read(self, cell: Any, where: str) -> tuple[list[int], list[int]]:
        """Ids of the labels that are present and of those that are unknown, each ascending and once.

        Raises:
            ValueError: a cell of another form; the sentence begins with `where`.
        """
        values = [cell] if self.single and isinstance(cell, int) else as_list(cell, where)
        if self.form == "names":
            return sorted(set(self._known(values, where))), []
        for objection, form in objections(values, len(self._place)):
            if form == self.form:
                raise ValueError(f"{where} {objection}, but the column was read as {form}.")
        if self.form == "ids":
            refuse_multi_hot(values, len(self._place), where)
            return sorted({self._place[value] for value in values}), []
        present = [place for place, value in zip(self._place, values) if value == 1]
        unknown = [place for place, value in zip(self._place, values) if is_unknown(value)]
        return sorted(present), sorted(unknown)

    def _known(self, names: Sequence[Any], where: str) -> Iterator[int]:
        for name in names:
            if not isinstance(name, str):
                raise ValueError(f"{where} holds {name!r}, but the column was read as names of labels.")
            if name not in self.space:
                raise ValueError(f"{where} holds the label {name!r}, which is not among the labels asked for.")
            yield self.space.index(name)


def recognise(cells: Iterable[Any], width: int, column: str) -> str:
    """The form of a column, from all of its cells; one row alone could be read both ways ([0, 1]).

    Args:
        cells: of every row.
        width: number of labels.
        column: for the message.

    Raises:
        ValueError: no form fits every row, or ids and multi-hot both do; the sentence says what to do.
    """
    against: dict[str, str] = {}
    repeated = False
    for row, cell in enumerate(cells):
        values = as_list(cell, f"Row {row}, column {column!r},")
        for objection, form in objections(values, width):
            against.setdefault(form, f"row {row} {objection}")
        repeated = repeated or len(set(values)) < len(values)
    possible = [form for form in FORMS if form not in against]
    if not possible:
        reasons = "; ".join(f"not {form}: {reason}" for form, reason in against.items())
        raise ValueError(f"The column {column!r} has no one form of labels. {reasons}.")
    if possible == ["ids", "multi_hot"] and not repeated:
        raise ValueError(
            f"Every row of the column {column!r} can be a list of ids and a multi-hot row alike "
            f"({width} labels); {TELL}."
        )
    return possible[-1]


def objections(values: Sequence[Any], width: int) -> Iterator[tuple[str, str]]:
    """What speaks against a row's being names, ids or multi-hot: (what was found, form)."""
    kinds = {type(value) for value in values}
    if kinds - {str}:
        yield f"holds {next(v for v in values if not isinstance(v, str))!r}, which is no text", "names"
    if kinds - {int}:
        yield f"holds {next(v for v in values if type(v) is not int)!r}, which is no whole number", "ids"
    elif wrong := [value for value in values if not 0 <= value < width]:
        yield f"holds the id {wrong[0]}, which lies outside 0..{width - 1}", "ids"
    if len(values) != width:
        yield f"has {len(values)} cells for {width} labels", "multi_hot"
    elif odd := [value for value in values if isinstance(value, str) or not (value in (0, 1) or is_unknown(value))]:
        yield f"holds {odd[0]!r}, which is none of 1, 0 and -1", "multi_hot"


def form_of_type(cell: Any, column: str) -> str:
    """The form of a column of which one cell is known, by its type alone.

    Raises:
        ValueError: whole numbers, or an empty list.
    """
    kinds = {type(value) for value in as_list(cell, f"The first row, column {column!r},")}
    if kinds == {str}:
        return "names"
    if kinds and kinds <= {bool, float}:
        return "multi_hot"
    raise ValueError(
        f"The first row of a stream does not tell what the column {column!r} holds ({str(cell)[:60]}); {TELL}, "
        "or label_form='names'."
    )


def is_unknown(value: Any) -> bool:
    """Whether a multi-hot cell says that nothing is known: -1, None or NaN."""
    return value is None or value == -1 or (isinstance(value, float) and math.isnan(value))


def as_list(cell: Any, where: str) -> list[Any]:
    """The values of a cell as plain Python.

    Raises:
        ValueError: the cell is no list of labels.
    """
    if isinstance(cell, (set, frozenset)):
        cell = sorted(cell, key=str)
    elif getattr(cell, "ndim", None) == 1:
        cell = cell.tolist()
    if isinstance(cell, (list, tuple)) and not any(isinstance(value, (list, tuple, dict)) for value in cell):
        return [value.item() if hasattr(value, "item") else value for value in cell]
    hint = "; split it into a list of names first" if isinstance(cell, str) else ""
    raise ValueError(
        f"{where} is {str(cell)[:60]!r} ({type(cell).__name__}), but a list of labels was expected "
        f"([] for none){hint}."
    )
