"""A partition of the labels into parts, one PSD teacher each: its file, its checks, its look-up by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlic_hf.data import LabelSpace
from mlic_hf.methods.psd.graph import GRAPH_KINDS

FORMAT_VERSION = 1
KINDS = (*GRAPH_KINDS, "random")
FILE_NAME = "partition.json"


@dataclass(frozen=True)
class Partition:
    """Every label in exactly one part; labels are known by name, in the order of their data set.

    Attributes:
        kind: "cgp", "dgp" or "random".
        labels: the C label names in their own order.
        parts: the label names of each part; no part is empty.
        normalized_cut: of the kind's label graph over the labels that have an edge; None for a random one.
        seed: the (first) seed it was drawn from.
        method: "spectral", "refine" or "random".
        source: where the counts came from, in words.
    """

    kind: str
    labels: tuple[str, ...]
    parts: tuple[tuple[str, ...], ...]
    normalized_cut: float | None
    seed: int
    method: str
    source: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"A partition of kind {self.kind!r} is unknown; expected one of {', '.join(KINDS)}.")
        _check_cover(self.labels, self.parts)

    @property
    def num_parts(self) -> int:
        return len(self.parts)

    @property
    def labels_hash(self) -> str:
        return LabelSpace(self.labels).hash

    def positions(self, label_names: Sequence[str]) -> list[list[int]]:
        """Where the labels of each part stand in `label_names`, a list of the same names in any order.

        Raises:
            ValueError: if `label_names` lacks a label of the partition, repeats one or has another.
        """
        index = {name: position for position, name in enumerate(label_names)}
        missing = [name for name in self.labels if name not in index]
        known = set(self.labels)
        unknown = [name for name in label_names if name not in known]
        if missing or unknown or len(index) != len(label_names):
            raise ValueError(
                f"The {self.kind} partition of {len(self.labels)} labels does not fit these "
                f"{len(label_names)}: missing {_some(missing)}; not in the partition {_some(unknown)}; "
                "every label is expected once."
            )
        return [[index[name] for name in part] for part in self.parts]

    def save(self, path: str | Path) -> None:
        """Write the partition as JSON to a file (folders are made)."""
        content: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "kind": self.kind,
            "num_parts": self.num_parts,
            "labels": list(self.labels),
            "labels_hash": self.labels_hash,
            "parts": [list(part) for part in self.parts],
            "normalized_cut": self.normalized_cut,
            "seed": self.seed,
            "method": self.method,
            "source": self.source,
        }
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Partition:
        """Read and check a partition: its JSON file, or the folder that holds partition.json.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no JSON, of another format version, lacks a key, disagrees with its own label
                hash or number of parts, or does not hold every label exactly once.
        """
        file = Path(path) / FILE_NAME if Path(path).is_dir() else Path(path)
        if not file.is_file():
            raise FileNotFoundError(f"There is no partition file {file}; `mlic partition` writes one.")
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            return _from_json(content)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{file} is not a valid partition file: {error}") from error


def _from_json(content: Any) -> Partition:
    if not isinstance(content, dict):
        raise ValueError("expected one JSON object.")
    if content.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"format_version is {content.get('format_version')!r}, this library reads {FORMAT_VERSION}; "
            "write it anew with `mlic partition`."
        )
    keys = (
        "kind",
        "num_parts",
        "labels",
        "labels_hash",
        "parts",
        "normalized_cut",
        "seed",
        "method",
        "source",
    )
    missing = [key for key in keys if key not in content]
    if missing:
        raise ValueError(f"the keys {', '.join(missing)} are missing.")
    labels = tuple(content["labels"])
    expected = LabelSpace(labels).hash
    if content["labels_hash"] != expected:
        raise ValueError(
            f"labels_hash is {content['labels_hash']!r}, but these labels have {expected!r}: "
            "the label list was changed after the partition was made."
        )
    if content["num_parts"] != len(content["parts"]):
        raise ValueError(f"num_parts is {content['num_parts']}, but {len(content['parts'])} parts are listed.")
    return Partition(
        kind=content["kind"],
        labels=labels,
        parts=tuple(tuple(part) for part in content["parts"]),
        normalized_cut=content["normalized_cut"],
        seed=content["seed"],
        method=content["method"],
        source=content["source"],
    )


def _check_cover(labels: Sequence[str], parts: Sequence[Sequence[str]]) -> None:
    repeated = sorted({name for name in labels if labels.count(name) > 1})
    if repeated:
        raise ValueError(f"The label list repeats {_some(repeated)}; every label is expected once.")
    empty = [index for index, part in enumerate(parts) if not part]
    if empty:
        raise ValueError(f"Part {empty[0]} has no label; every part needs at least one.")
    placed = [name for part in parts for name in part]
    twice = sorted({name for name in placed if placed.count(name) > 1})
    missing = [name for name in labels if name not in set(placed)]
    unknown = [name for name in placed if name not in set(labels)]
    if twice or missing or unknown:
        raise ValueError(
            "The parts do not hold every label exactly once: "
            f"missing {_some(missing)}; more than once {_some(twice)}; not a label {_some(unknown)}."
        )


def _some(names: Sequence[str]) -> str:
    """A few names for an error message."""
    if not names:
        return "none"
    shown = ", ".join(repr(name) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
