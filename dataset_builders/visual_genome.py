"""Visual Genome with 500 categories, in the partition of SSGRL (Chen et al. 2019)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builders.builder import RecordBuilder, RecordConfig
from dataset_builders.image_path import image_path, without_ending
from dataset_builders.record import Annotations, Record
from dataset_builders.text_file import BLANKS, read_json, read_lines

LISTS = {"train": "train_list_500.txt", "test": "test_list_500.txt"}
LABELS = "vg_category_500_labels_index.json"
NUM_LABELS = 500
IMAGE_FOLDERS = ("VG_100K", "VG_100K_2")
_PLACES = ("", "data", "annotations", "VG", "vg")


@dataclass
class VisualGenomeConfig(RecordConfig):
    """Options of visual_genome.

    Attributes:
        label_names: file with the 500 category names, one a line or a JSON list, relative to data_dir. The
            partition itself numbers the categories only; without names they are category_000 to category_499.
    """

    label_names: str | None = None


def _find(data_dir: Path, name: str) -> Path:
    return next((path for place in _PLACES if (path := data_dir / place / name).is_file()), data_dir / name)


def read_list(path: Path) -> list[str]:
    """File names of a list.

    Raises:
        ValueError: an empty or repeated line; names file and line.
    """
    names: dict[str, int] = {}
    for number, line in enumerate(read_lines(path), 1):
        name = line.strip(BLANKS)
        if not name or name in names:
            raise ValueError(
                f"{path}, line {number}: {name!r} is empty or was named before; expected a new file name."
            )
        names[name] = number
    if not names:
        raise ValueError(f"{path} is empty; expected one file name a line.")
    return list(names)


def read_names(path: Path) -> list[str]:
    """The 500 category names.

    Raises:
        ValueError: another number of names, or a name twice.
    """
    names = read_json(path) if path.suffix == ".json" else read_lines(path)
    wrong = not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names)
    if wrong or not len(names) == len(set(names)) == NUM_LABELS:
        raise ValueError(f"{path}: expected {NUM_LABELS} different names, in the order of the label indices.")
    return names


def read_annotations(data_dir: str | Path, label_names: str | None = None) -> Annotations:
    """Records of VG500; the image files need not be there.

    Args:
        data_dir: folder with the two lists, the label index and VG_100K (and VG_100K_2).
        label_names: see `VisualGenomeConfig`.

    Returns:
        Splits "train" and "test".

    Raises:
        FileNotFoundError, ValueError: missing files, images without an entry, indices out of range.
    """
    data_dir = Path(data_dir)
    names = [f"category_{index:03d}" for index in range(NUM_LABELS)]
    if label_names is not None:
        names = read_names(data_dir / label_names)
    labels_path = _find(data_dir, LABELS)
    index = read_json(labels_path)
    if not isinstance(index, dict):
        raise ValueError(f"{labels_path}: expected an object of image names and lists of label indices.")
    folders = _image_folders(data_dir)
    splits: dict[str, list[Record]] = {}
    for split, list_name in LISTS.items():
        path = _find(data_dir, list_name)
        records = []
        for number, name in enumerate(read_list(path), 1):
            source = f"{path}, line {number}"
            if name not in index:
                raise ValueError(f"{source}: image {name!r} has no entry in {labels_path}.")
            if not isinstance(index[name], list) or not all(type(label) is int for label in index[name]):
                raise ValueError(f"{labels_path}: {name!r} has {index[name]!r}; expected a list of label indices.")
            ids = sorted(set(index[name]))
            if ids and not 0 <= ids[0] <= ids[-1] < NUM_LABELS:
                raise ValueError(f"{labels_path}: {name!r} has a label outside 0 to {NUM_LABELS - 1}.")
            folder = next((f for f, files in folders.items() if name in files), next(iter(folders)))
            labels = tuple(names[i] for i in ids)
            image_id = without_ending(name)
            records.append(Record(image_id, image_path(folder, name, source), labels, source=source))
        splits[split] = records
    notes = [] if label_names else ["The partition has no category names; labels are category_000 to category_499."]
    return Annotations(names, splits, notes)


def _image_folders(data_dir: Path) -> dict[Path, set[str]]:
    """The two image folders and the names in them; the first one by name where neither is there."""
    places = [data_dir / place / name for name in IMAGE_FOLDERS for place in (*_PLACES, "images")]
    found = {folder: set(os.listdir(folder)) for folder in places if folder.is_dir()}
    return found or {data_dir / IMAGE_FOLDERS[0]: set()}


class VisualGenome(RecordBuilder):
    """Visual Genome 500."""

    BUILDER_CONFIG_CLASS = VisualGenomeConfig

    @classmethod
    def sources(cls, config: Any) -> Iterable[Path]:
        """The lists, the label index and the names."""
        data_dir = Path(config.data_dir)
        own = [data_dir / config.label_names] if config.label_names else []
        return [*(_find(data_dir, name) for name in (*LISTS.values(), LABELS)), *own]

    def read(self) -> Annotations:
        """Records of the partition."""
        return read_annotations(self.config.data_dir, self.config.label_names)
