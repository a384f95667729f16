"""Choose the label vocabulary: a given list, or all labels that occur often enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from dataset_builders.record import Annotations, Record


def choose_labels(
    annotations: Annotations,
    labels: Sequence[str] | None = None,
    other_labels: Literal["raise", "drop"] = "raise",
    min_images_per_label: int = 0,
) -> Annotations:
    """Restrict annotations to a vocabulary; images keep their place even when no label is left.

    Args:
        annotations: all records with all their labels.
        labels: the vocabulary, in id order; None keeps the data set's own.
        other_labels: what to do with annotated labels that `labels` does not name.
        min_images_per_label: drop labels on fewer training images than this (counted before a validation part
            is taken out of training).

    Returns:
        New annotations whose notes count what was dropped.

    Raises:
        ValueError: a label outside `labels` with other_labels="raise", or nothing is left.
    """
    names = list(annotations.names) if labels is None else list(labels)
    notes = list(annotations.notes)
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise ValueError(f"labels names {repeated[0]!r} twice; every label needs one place.")
    if other_labels not in ("raise", "drop"):
        raise ValueError(f"other_labels is {other_labels!r}; expected 'raise' or 'drop'.")
    if labels is not None and other_labels == "raise":
        _refuse_unknown(annotations, set(names))
    if min_images_per_label > 1:
        counted = "train" if "train" in annotations.splits else next(iter(annotations.splits))
        counts = annotations.label_counts(counted)
        rare = {name for name in names if counts.get(name, 0) < min_images_per_label}
        names = [name for name in names if name not in rare]
        notes.append(f"{len(rare)} labels on fewer than {min_images_per_label} training images were dropped.")
    if not names:
        raise ValueError(f"No label is left of {len(annotations.names)}; lower min_images_per_label.")
    if names == annotations.names:
        return Annotations(names, annotations.splits, notes)
    keep = set(names)
    splits = {split: [_restrict(r, keep) for r in rows] for split, rows in annotations.splits.items()}
    for split, rows in splits.items():
        before = sum(len(record.labels) for record in annotations.splits[split])
        dropped = before - sum(len(record.labels) for record in rows)
        bare = sum(1 for old, new in zip(annotations.splits[split], rows) if old.labels and not new.labels)
        notes.append(
            f"{split}: {dropped} of {before} image labels were dropped with their words; {bare} images are "
            "left without labels and stay as all-negative."
        )
    return Annotations(names, splits, notes)


def _restrict(record: Record, keep: set[str]) -> Record:
    return record._replace(
        labels=tuple(name for name in record.labels if name in keep),
        ignored=tuple(name for name in record.ignored if name in keep),
        boxes=tuple(box for box in record.boxes if box[0] in keep),
    )


def _refuse_unknown(annotations: Annotations, known: set[str]) -> None:
    for rows in annotations.splits.values():
        for record in rows:
            for name in (*record.labels, *record.ignored):
                if name not in known:
                    raise ValueError(
                        f"{record.source or record.image_id}: label {name!r} is not among the {len(known)} "
                        "given labels; add it to labels, or pass other_labels='drop'."
                    )
