"""Label names, and the values that belong to them: whatever is kept for a label follows its name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

UNNAMED = re.compile(r"LABEL_\d+$")  # what transformers calls a label without a name
MOST_LABELS = 200_000  # the largest published vocabularies have some 20,000
# config fields with one value a label, and the value of a label that is new
LABEL_FIELDS: dict[str, Any] = {"thresholds": 0.5, "calibration": (1.0, 0.0)}


def checked_names(labels: Sequence[str]) -> list[str]:
    """The label names as a list. Raises ValueError when there are none, or one is empty or repeated."""
    if isinstance(labels, str):
        raise ValueError(f"labels is the text {labels!r}; expected a list of names.")
    names = list(labels)
    wrong = [name for name in names if not isinstance(name, str) or not name]
    counts = Counter(name for name in names if isinstance(name, str))
    repeated = sorted(name for name, count in counts.items() if count > 1)
    if not names or wrong or repeated:
        raise ValueError(
            f"labels has {len(names)} entries, not names: {wrong[:3]}, repeated: {repeated[:3]}; "
            "expected at least one label, each a text that occurs once."
        )
    return names


def check_label_maps(fields: Mapping[str, Any]) -> None:
    """Refuse what a config may hold in place of label names, before anything of that size is made.

    Args:
        fields: a config's fields, of which `num_labels`, `id2label` and `label2id` are looked at.

    Raises:
        ValueError: a sentence naming the field, what was found and what was expected.
    """
    count = fields.get("num_labels")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_LABELS):
        raise ValueError(f"num_labels is {count!r}; expected a whole number from 1 to {MOST_LABELS:,}.")
    for field in ("id2label", "label2id"):
        value = fields.get(field)
        if value is not None and not isinstance(value, Mapping):
            raise ValueError(f"{field} is a {type(value).__name__}; expected a mapping between ids and names.")
    names = fields.get("id2label")
    if names is None:
        return
    if len(names) > MOST_LABELS:
        raise ValueError(f"id2label has {len(names):,} entries; expected {MOST_LABELS:,} at most.")
    ids = [key for key in names if not str(key).isdecimal()]
    values = [value for value in names.values() if not isinstance(value, str)]
    if ids or values:
        raise ValueError(f"id2label maps {(ids or values)[0]!r}; expected whole numbers from 0 to names.")
    if sorted(map(int, names)) != list(range(len(names))):
        raise ValueError(f"id2label has the ids {sorted(map(int, names))[:9]}; expected 0 to {len(names) - 1}.")


def label_names(fields: Mapping[str, Any]) -> list[str]:
    """The names in the order of the logits, of a config's fields."""
    check_label_maps(fields)
    if fields.get("id2label") is not None:
        return [name for _, name in sorted((int(key), name) for key, name in fields["id2label"].items())]
    return [f"LABEL_{position}" for position in range(fields.get("num_labels") or 2)]


def asked_names(asked: Mapping[str, Any], stored: Sequence[str]) -> list[str] | None:
    """The names that keywords of `from_pretrained` ask for; None when they ask for none.

    Args:
        asked: `labels` (a list), `id2label`, `num_labels`; any of them absent or None.
        stored: the checkpoint's own names.

    Raises:
        ValueError: when they contradict each other.
    """
    labels, mapping, count = (asked.get(field) for field in ("labels", "id2label", "num_labels"))
    if labels is None and mapping is None and count is None:
        return None
    if labels is not None:
        names = checked_names(labels)
    elif mapping is not None:
        names = checked_names(label_names({"id2label": mapping}))
    else:
        names = list(stored) if count == len(stored) else label_names({"num_labels": count})
    if len(names) != (count or len(names)) or (mapping is not None and label_names({"id2label": mapping}) != names):
        raise ValueError(
            f"labels, id2label and num_labels contradict each other ({len(names)} labels, num_labels {count}); "
            "give one of them."
        )
    return names


def sources(names: Sequence[str], stored: Sequence[str]) -> list[int | None]:
    """For each label its place among the stored ones, by name; None for a label that is new.

    A stored vocabulary without names that is given names stays where it is; otherwise LABEL_0 is no name.
    """
    if list(names) == list(stored) or (len(names) == len(stored) and all(map(UNNAMED.match, stored))):
        return list(range(len(names)))
    place = {name: position for position, name in enumerate(stored) if not UNNAMED.match(name)}
    return [place.get(name) for name in names]


def with_labels(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A config's fields for other labels: names both ways, thresholds and calibration by name.

    A label that is new gets 0.5 and no calibration; values none of whose labels are left are dropped.
    """
    chosen = sources(names, label_names(fields))
    changed = {name: value for name, value in fields.items() if name != "num_labels"}
    changed["id2label"] = dict(enumerate(names))
    changed["label2id"] = {name: position for position, name in enumerate(names)}
    for field, new in LABEL_FIELDS.items():
        values = fields.get(field)
        if values is not None:
            left = any(place is not None for place in chosen)
            changed[field] = [new if place is None else values[place] for place in chosen] if left else None
    return changed
