"""The names of the labels, in order, and the multi-hot rows written in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch


class LabelSpace:
    """An ordered list of distinct label names; a label's id is its place in it.

    Labels are matched by name, never by position, so that a part of a label set (PSD's teachers), a merged
    set or a checkpoint with another order can be told apart and translated.

    Args:
        names: the label names, in the order of the logits.

    Raises:
        ValueError: no names, a name that is no text or empty, or a name given twice.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names: tuple[str, ...] = tuple(names)
        if not self.names:
            raise ValueError("A label space needs at least one label name, but none was given.")
        ids: dict[str, int] = {}
        for position, name in enumerate(self.names):
            if not isinstance(name, str) or not name:
                raise ValueError(f"Label {position} is {name!r}, but a label name must be a text that is not empty.")
            if name in ids:
                raise ValueError(
                    f"The label name {name!r} occurs twice (positions {ids[name]} and {position}); "
                    "names must differ, so rename or merge one of them."
                )
            ids[name] = position
        self.label2id: dict[str, int] = ids

    @property
    def id2label(self) -> dict[int, str]:
        """Id to name, the form that a transformers config takes."""
        return dict(enumerate(self.names))

    @property
    def hash(self) -> str:
        """The first 16 hex digits of the SHA-256 of the names: equal exactly when names and order are."""
        return hashlib.sha256(json.dumps(self.names, ensure_ascii=False).encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.label2id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelSpace) and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.names)

    def __repr__(self) -> str:
        shown = ", ".join(self.names[:4]) + (", ..." if len(self) > 4 else "")
        return f"LabelSpace({len(self)} labels: {shown})"

    def index(self, name: str) -> int:
        """The id of a label name.

        Raises:
            ValueError: the name is not in this label space.
        """
        try:
            return self.label2id[name]
        except KeyError:
            known = ", ".join(self.names[:8]) + (", ..." if len(self) > 8 else "")
            raise ValueError(
                f"The label {name!r} is not among the {len(self)} labels of this label space ({known}); "
                "check its spelling, or add it to the label names."
            ) from None

    def positions(self, names: Iterable[str]) -> list[int]:
        """The ids of several names, in the order given (for example of a teacher's label list)."""
        return [self.index(name) for name in names]

    def subset(self, names: Iterable[str]) -> LabelSpace:
        """The label space of some of these names, in the order given; every name must be known here."""
        chosen = list(names)
        self.positions(chosen)
        return LabelSpace(chosen)

    def multi_hot(self, labels: Sequence[int], ignored: Sequence[int] = ()) -> torch.Tensor:
        """One row of targets.

        Args:
            labels: ids of the labels that the image has.
            ignored: ids of the labels of which nothing is known for the image ("difficult").

        Returns:
            (labels,) float32: 1 positive, 0 negative, -1 ignored.

        Raises:
            ValueError: an id outside 0..labels-1, one that is both positive and ignored, or a multi-hot row
                in the place of the ids.
        """
        refuse_multi_hot(labels, len(self), "The list of label ids")
        row = torch.zeros(len(self))
        for ids, value in ((ignored, -1.0), (labels, 1.0)):
            for label in ids:
                if not 0 <= label < len(self):
                    raise ValueError(
                        f"The label id {label} lies outside 0..{len(self) - 1} (this label space has "
                        f"{len(self)} labels); the dataset was probably built for another label list."
                    )
                row[label] = value
        both = set(labels) & set(ignored)
        if both:
            names = ", ".join(self.names[label] for label in sorted(both))
            raise ValueError(f"These labels are both present and ignored: {names}; drop one side.")
        return row

    @classmethod
    def from_dataset(cls, dataset: Any) -> LabelSpace:
        """The label space of a `datasets.Dataset` or `DatasetDict` (feature `labels`, a list of ClassLabel).

        Rows that know their label space (those of `adapt`) are asked for it.

        Raises:
            ValueError: there are no ClassLabel names, or two splits have different ones.
        """
        if isinstance(space := getattr(dataset, "label_space", None), cls):
            return space
        if isinstance(dataset, Mapping):
            spaces = {split: cls.from_dataset(part) for split, part in dataset.items()}
            if len(set(spaces.values())) != 1:
                raise ValueError(
                    f"The splits {', '.join(spaces)} must share one label list, but they have "
                    f"{len(set(spaces.values()))} different ones; rebuild them from one source."
                )
            return next(iter(spaces.values()))
        features = getattr(dataset, "features", None)
        if not features or "labels" not in features:
            found = ", ".join(features) if features else "no features"
            raise ValueError(
                f"The dataset needs the column 'labels' (a list of ClassLabel) to know its label names, but "
                f"it has {found}; load it with dataset_builders.load_splits, or cast the column."
            )
        names = getattr(getattr(features["labels"], "feature", None), "names", None)
        if not names:
            raise ValueError(
                f"The column 'labels' is {features['labels']}, but a list of ClassLabel with names was "
                "expected; cast it with datasets.Sequence(datasets.ClassLabel(names=[...]))."
            )
        return cls(names)

    @classmethod
    def from_config(cls, config: Any) -> LabelSpace:
        """The label space of a model config (its `id2label`, whose keys must be 0..labels-1)."""
        names = {int(key): name for key, name in config.id2label.items()}
        if sorted(names) != list(range(len(names))):
            raise ValueError(
                f"The keys of id2label must be 0..{len(names) - 1}, but they are {sorted(names)[:8]}...; "
                "mend the model's config.json."
            )
        return cls(names[key] for key in range(len(names)))


def refuse_multi_hot(ids: Sequence[int], width: int, where: str) -> None:
    """Refuse a list of ids that can only be a multi-hot row: a 0 or 1 for every label, and not all different.

    Raises:
        ValueError: it is one; the sentence begins with `where`.
    """
    if len(ids) == width and len(set(ids)) < width and set(ids) <= {0, 1}:
        raise ValueError(
            f"{where} is {list(ids)[:12]}: a 0 or 1 for each of the {width} labels, so a multi-hot row where "
            "a list of ids was expected; pass the data through mlic_hf.data.adapt(data, labels=names)."
        )
