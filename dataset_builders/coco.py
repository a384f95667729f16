"""COCO 2014 and 2017 from the official `instances_*.json`, or the ML-GCN lists of image labels."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builders.builder import RecordBuilder, RecordConfig
from dataset_builders.image_path import image_path
from dataset_builders.record import Annotations, Record
from dataset_builders.text_file import read_json

YEARS = ("2014", "2017")
PHASES = {"train": "train", "val": "validation"}
_PLACES = ("", "annotations", "data", "data/annotations")
_IMAGE_PLACES = ("", "images", "data", "data/images")


@dataclass
class CocoConfig(RecordConfig):
    """Options of coco.

    Attributes:
        year: "2014" or "2017"; None takes the one that is there.
        label_order: "alphabetical" (PSD, L2D, MulCon) or "category_id" (CoCo).
        form: "instances" (official), "mlgcn" (train_anno.json, val_anno.json, category.json); None takes what
            is there, official first.
    """

    year: str | None = None
    label_order: str = "alphabetical"
    form: str | None = None

    def __post_init__(self) -> None:
        """Accept a year given as a number; refuse unknown words."""
        super().__post_init__()
        self.year = None if self.year is None else str(self.year)
        for key, allowed in (
            ("year", (None, *YEARS)),
            ("label_order", ("alphabetical", "category_id")),
            ("form", (None, "instances", "mlgcn")),
        ):
            if getattr(self, key) not in allowed:
                raise ValueError(f"{key} is {getattr(self, key)!r}; expected one of {allowed}.")


def annotation_files(data_dir: Path, year: str | None = None, form: str | None = None) -> tuple[str, dict[str, Path]]:
    """Which year a folder holds, and the annotation file of each phase (also "category" for mlgcn).

    Raises:
        FileNotFoundError: no annotation file of the asked kind.
        ValueError: both years are there and none was asked for.
    """
    if form in (None, "instances"):
        found = {
            candidate: files
            for candidate in ([year] if year else YEARS)
            if (files := _existing(data_dir, {phase: f"instances_{phase}{candidate}.json" for phase in PHASES}))
        }
        if len(found) > 1:
            raise ValueError(f"{data_dir} holds COCO {' and '.join(found)}; say which with year='2014' or '2017'.")
        if found:
            return next(iter(found.items()))
    if form in (None, "mlgcn") and year in (None, "2014"):
        names = {"train": "train_anno.json", "val": "val_anno.json", "category": "category.json"}
        files = _existing(data_dir, names)
        if "category" in files and len(files) > 1:
            return "2014", files
    raise FileNotFoundError(
        f"{data_dir} has no annotations/instances_train{year or '2014'}.json (nor train_anno.json "
        "with category.json); "
        "expected the official COCO layout of docs/datasets.md."
    )


def _existing(data_dir: Path, names: dict[str, str]) -> dict[str, Path]:
    places = [(key, data_dir / place / name) for key, name in names.items() for place in _PLACES]
    found: dict[str, Path] = {}
    for key, path in places:
        if key not in found and path.is_file():
            found[key] = path
    return found


def read_annotations(
    data_dir: str | Path,
    year: str | None = None,
    label_order: str = "alphabetical",
    form: str | None = None,
    with_boxes: bool = False,
) -> Annotations:
    """Records of COCO; the image files need not be there.

    Args:
        data_dir: folder with `annotations/` and `train2014/`, `val2014/` (or 2017).
        year: see `CocoConfig`, as the next two.
        label_order: order of the vocabulary.
        form: which annotation files.
        with_boxes: keep the boxes of all objects, crowds included (official form only).

    Returns:
        Splits "train" (train20xx) and "validation" (val20xx), images without labels included. A label is
        positive when any object of the image has it, crowds included, as in the papers' lists.

    Raises:
        FileNotFoundError, ValueError: missing, cut or inconsistent annotations; names file and entry.
    """
    data_dir = Path(data_dir)
    year, files = annotation_files(data_dir, year, form)
    if "category" in files:
        if with_boxes:
            raise ValueError(
                f"{files['category']}: the ML-GCN lists hold no boxes; with_boxes needs instances_*.json."
            )
        return _read_mlgcn(data_dir, year, files)
    names: list[str] = []
    splits: dict[str, list[Record]] = {}
    for phase, path in files.items():
        folder = _image_folder(data_dir, f"{phase}{year}")
        try:
            phase_names, splits[PHASES[phase]] = _read_instances(path, folder, label_order, with_boxes)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{path}: an entry lacks or misuses {error}; expected an official instances file."
            ) from error
        if names and names != phase_names:
            raise ValueError(
                f"{path}: its categories differ from those of the other split; take files of one release."
            )
        names = phase_names
    return Annotations(names, splits)


def _image_folder(data_dir: Path, name: str) -> Path:
    folders = [data_dir / place / name for place in _IMAGE_PLACES]
    return next((folder for folder in folders if folder.is_dir()), data_dir / name)


def _read_instances(path: Path, folder: Path, order: str, with_boxes: bool) -> tuple[list[str], list[Record]]:
    data = read_json(path)
    if not isinstance(data, dict) or not {"images", "annotations", "categories"} <= set(data):
        raise ValueError(f"{path}: expected the keys images, annotations and categories of an instances file.")
    categories = {entry["id"]: entry["name"] for entry in data["categories"]}
    names = [categories[key] for key in sorted(categories)]
    if order == "alphabetical":
        names.sort()
    rank = {name: position for position, name in enumerate(names)}
    objects: dict[Any, list[dict[str, Any]]] = {entry["id"]: [] for entry in data["images"]}
    if len(objects) != len(data["images"]):
        raise ValueError(f"{path}: {len(data['images']) - len(objects)} image ids occur twice; ids must be unique.")
    for entry in data["annotations"]:
        if entry["image_id"] not in objects or entry["category_id"] not in categories:
            key = "category_id" if entry["image_id"] in objects else "image_id"
            raise ValueError(f"{path}: annotation {entry.get('id')} has the unknown {key} {entry[key]!r}.")
        objects[entry["image_id"]].append(entry)
    records = []
    for image in data["images"]:
        source = f"{path}, image {image['id']}"
        found = [(categories[entry["category_id"]], entry) for entry in objects[image["id"]]]
        records.append(
            Record(
                image_id=os.path.splitext(image["file_name"])[0],
                path=image_path(folder, image["file_name"], source),
                labels=tuple(sorted({name for name, _ in found}, key=rank.__getitem__)),
                boxes=tuple((name, _corners(entry["bbox"])) for name, entry in found) if with_boxes else (),
                size=(image["width"], image["height"]) if "width" in image and "height" in image else None,
                source=source,
            )
        )
    return names, records


def _corners(bbox: list[float]) -> tuple[float, float, float, float]:
    left, top, width, height = bbox
    return left, top, left + width, top + height


def _read_mlgcn(data_dir: Path, year: str, files: dict[str, Path]) -> Annotations:
    categories = read_json(files["category"])
    names = sorted(categories, key=categories.__getitem__)
    if sorted(categories.values()) != list(range(len(names))):
        raise ValueError(f"{files['category']}: label ids must be 0 to {len(names) - 1}, each once.")
    splits: dict[str, list[Record]] = {}
    for phase, split in PHASES.items():
        if phase not in files:
            continue
        folder = _image_folder(data_dir, f"{phase}{year}")
        records = []
        for number, row in enumerate(read_json(files[phase])):
            source = f"{files[phase]}, entry {number}"
            ids = sorted(set(row["labels"]))
            if ids and not 0 <= ids[0] <= ids[-1] < len(names):
                raise ValueError(f"{source}: label id {ids[0] if ids[0] < 0 else ids[-1]} is not in category.json.")
            name = row["file_name"]
            labels = tuple(names[i] for i in ids)
            records.append(Record(os.path.splitext(name)[0], image_path(folder, name, source), labels, source=source))
        splits[split] = records
    return Annotations(names, splits)


class Coco(RecordBuilder):
    """COCO 2014 (images without labels dropped, as the papers do) or 2017 (kept)."""

    BUILDER_CONFIG_CLASS = CocoConfig

    @classmethod
    def sources(cls, config: Any) -> Iterable[Path]:
        """The annotation files of the chosen year."""
        return annotation_files(Path(config.data_dir), config.year, config.form)[1].values()

    def drops_unlabeled(self) -> bool:
        """True for 2014, whose papers train and test on labelled images only."""
        config = self.config
        return annotation_files(Path(config.data_dir), config.year, config.form)[0] == "2014"

    def read(self) -> Annotations:
        """Records of the chosen year."""
        config = self.config
        return read_annotations(config.data_dir, config.year, config.label_order, config.form, config.with_boxes)
