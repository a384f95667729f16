"""COCO 2014 and 2017 from the official `instances_*.json`, or the ML-GCN lists of image labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builders.builder import RecordBuilder, RecordConfig
from dataset_builders.image_path import image_path, without_ending
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
        self.year = None if self.year is None else str(self.year)
        super().__post_init__()
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
        phase_names, splits[PHASES[phase]] = _read_instances(path, folder, label_order, with_boxes)
        if names and names != phase_names:
            raise ValueError(
                f"{path}: its categories differ from those of the other split; take files of one release."
            )
        names = phase_names
    return Annotations(names, splits, _absent(files, f"instances_{{}}{year}.json"))


def _absent(files: dict[str, Path], name: str) -> list[str]:
    """A note on each split whose annotation file is not there."""
    return [
        f"There is no {name.format(phase)}, so there is no {split} split."
        for phase, split in PHASES.items()
        if phase not in files
    ]


def _image_folder(data_dir: Path, name: str) -> Path:
    folders = [data_dir / place / name for place in _IMAGE_PLACES]
    return next((folder for folder in folders if folder.is_dir()), data_dir / name)


def phases_without_images(data_dir: Path, year: str, files: Iterable[str]) -> list[str]:
    """The phases that are annotated and have no image folder, where another one has (val2017 alone)."""
    phases = [phase for phase in files if phase in PHASES]
    absent = [phase for phase in phases if not _image_folder(data_dir, f"{phase}{year}").is_dir()]
    return absent if len(absent) < len(phases) else []


def _read_instances(path: Path, folder: Path, order: str, with_boxes: bool) -> tuple[list[str], list[Record]]:
    data = read_json(path)
    keys = ("images", "annotations", "categories")
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in keys):
        raise ValueError(f"{path}: expected the keys images, annotations and categories of an instances file.")
    categories = {key: _text(path, "category", entry, "name") for key, entry in _by_id(path, "category", data)}
    names = [categories[key] for key in sorted(categories)]
    if len(set(names)) != len(names) or not names:
        raise ValueError(f"{path}: the category names are {sorted(names)[:100]}; expected some, each once.")
    if order == "alphabetical":
        names.sort()
    rank = {name: position for position, name in enumerate(names)}
    images = dict(_by_id(path, "image", data))
    objects: dict[int, list[dict[str, Any]]] = {key: [] for key in images}
    for place, entry in enumerate(data["annotations"]):
        image, category = _refers(path, place, entry, "image_id"), _refers(path, place, entry, "category_id")
        if image not in objects or category not in categories:
            key = "category_id" if image in objects else "image_id"
            raise ValueError(f"{path}: annotation {entry.get('id')} has the unknown {key} {entry[key]!r}.")
        objects[image].append(entry)
    records = []
    for image, entry in images.items():
        source = f"{path}, image {image}"
        name = _text(path, "image", entry, "file_name")
        found = [(categories[each["category_id"]], each) for each in objects[image]]
        boxes = [(label, _corners(path, each)) for label, each in found if with_boxes or "bbox" in each]
        records.append(
            Record(
                image_id=without_ending(name),
                path=image_path(folder, name, source),
                labels=tuple(sorted({label for label, _ in found}, key=rank.__getitem__)),
                boxes=tuple(boxes) if with_boxes else (),
                size=_size(source, entry),
                source=source,
            )
        )
    return names, records


def _by_id(path: Path, kind: str, data: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Categories or images, each with its id.

    Raises:
        ValueError: an entry is no object, or its id no whole number or not its own.
    """
    seen: set[int] = set()
    for place, entry in enumerate(data["categories" if kind == "category" else "images"]):
        key = entry.get("id") if isinstance(entry, dict) else None
        if type(key) is not int:
            raise ValueError(f"{path}: {kind} number {place} has the id {key!r}; expected a whole number.")
        if key in seen:
            raise ValueError(f"{path}: the {kind} id {key} occurs twice; ids must be unique.")
        seen.add(key)
        yield key, entry


def _text(path: Path, kind: str, entry: dict[str, Any], key: str) -> str:
    if not isinstance(entry.get(key), str) or not entry[key].strip():
        raise ValueError(f"{path}: {kind} {entry['id']} has the {key!r} {entry.get(key)!r}; expected a text.")
    return entry[key]


def _refers(path: Path, place: int, entry: Any, key: str) -> int:
    value = entry.get(key) if isinstance(entry, dict) else None
    if type(value) is not int:
        raise ValueError(f"{path}: annotation number {place} has the {key} {value!r}; expected a whole number.")
    return value


def _size(source: str, image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    if width is None and height is None:
        return None
    if type(width) is not int or type(height) is not int or min(width, height) <= 0:
        raise ValueError(f"{source}: width and height are {width!r} and {height!r}; expected pixels.")
    return width, height


def _corners(path: Path, annotation: dict[str, Any]) -> tuple[float, float, float, float]:
    box: Any = annotation.get("bbox")
    whole = isinstance(box, list) and len(box) == 4 and all(type(x) in (int, float) and abs(x) < 1e9 for x in box)
    if not whole or min(box[2:]) < 0:
        raise ValueError(
            f"{path}: annotation {annotation.get('id')} has the bbox {box!r}; expected left, top, width, height."
        )
    left, top, width, height = box
    return left, top, left + width, top + height


def _read_mlgcn(data_dir: Path, year: str, files: dict[str, Path]) -> Annotations:
    categories = read_json(files["category"])
    ids = list(categories.values()) if isinstance(categories, dict) else []
    if not ids or not all(type(key) is int for key in ids) or sorted(ids) != list(range(len(ids))):
        raise ValueError(f"{files['category']}: expected an object of label names and their ids, 0, 1, 2, ...")
    names = sorted(categories, key=categories.__getitem__)
    if not all(name.strip() for name in names):
        raise ValueError(f"{files['category']}: a label name is empty.")
    splits: dict[str, list[Record]] = {}
    for phase, split in PHASES.items():
        if phase not in files:
            continue
        rows = read_json(files[phase])
        if not isinstance(rows, list):
            raise ValueError(f"{files[phase]}: expected a list of entries with file_name and labels.")
        folder = _image_folder(data_dir, f"{phase}{year}")
        splits[split] = [_mlgcn_record(folder, row, names, f"{files[phase]}, entry {n}") for n, row in enumerate(rows)]
    return Annotations(names, splits, _absent(files, "{}_anno.json"))


def _mlgcn_record(folder: Path, row: Any, names: list[str], source: str) -> Record:
    name, labels = (row.get("file_name"), row.get("labels")) if isinstance(row, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise ValueError(f"{source}: expected a file_name and a list of label ids as labels, found {str(row)[:200]}.")
    for label in labels:
        if not 0 <= label < len(names):
            raise ValueError(f"{source}: label id {label} is not in category.json.")
    positive = tuple(names[label] for label in sorted(set(labels)))
    return Record(without_ending(name), image_path(folder, name, source), positive, source=source)


class Coco(RecordBuilder):
    """COCO 2014 (images without labels dropped, as the papers do) or 2017 (kept)."""

    BUILDER_CONFIG_CLASS = CocoConfig

    @classmethod
    def sources(cls, config: Any) -> Iterable[Path]:
        """The annotation files of the chosen year, and image folders that may still come."""
        year, files = annotation_files(Path(config.data_dir), config.year, config.form)
        absent = phases_without_images(Path(config.data_dir), year, files)
        return [*files.values(), *(Path(config.data_dir) / f"{phase}{year}" for phase in absent)]

    def drops_unlabeled(self) -> bool:
        """True for 2014, whose papers train and test on labelled images only."""
        config = self.config
        return annotation_files(Path(config.data_dir), config.year, config.form)[0] == "2014"

    def read(self) -> Annotations:
        """Records of the chosen year; a split whose images were never fetched is left out with a word."""
        config = self.config
        found = read_annotations(config.data_dir, config.year, config.label_order, config.form, config.with_boxes)
        year, files = annotation_files(Path(config.data_dir), config.year, config.form)
        for phase in phases_without_images(Path(config.data_dir), year, files):
            found.splits.pop(PHASES[phase], None)
            found.notes.append(f"{PHASES[phase]} was left out: there is no folder {phase}{year} with its images.")
        return found
