"""PASCAL VOC 2007 and 2012, from XML, from per-label lists or from one label table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builders.builder import RecordBuilder, RecordConfig
from dataset_builders.image_path import image_path
from dataset_builders.record import Annotations, Record
from dataset_builders.text_file import read_lines, words
from dataset_builders.voc_xml import read_objects

NAMES = (
    *(
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "diningtable",
        "dog",
    ),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
# year -> the training list that is asked for -> the lists behind our splits
SPLITS_OF = {
    "2007": {
        "trainval": {"train": "trainval", "test": "test"},
        "train": {"train": "train", "validation": "val", "test": "test"},
    },
    "2012": {
        "train": {"train": "train", "validation": "val"},
        "trainval": {"train": "trainval"},
        "train_aug": {"train": "train_aug", "validation": "val"},
    },
}
DIFFICULT = ("ignored", "positive", "negative_ignored")
_PICTURE_AND_MASK = re.compile(r"[ \t]*/(?:[^ \t/]+/)*([^ \t/]+)\.jpg[ \t]+/(?:[^ \t/]+/)*\1\.png")
_OF_2007, _OF_2012 = re.compile(r"\d{6}"), re.compile(r"20\d\d_\d{6}")
Judgement = dict[str, bool]  # label name -> True when some object of it is not difficult


@dataclass
class VocConfig(RecordConfig):
    """Options of voc.

    Attributes:
        year: "2007" or "2012".
        train_split: the list to train on: "trainval" or "train" (2007); "train", "trainval" or "train_aug"
            (2012). None is trainval for 2007 and train for 2012.
        difficult: a label with difficult objects only is "ignored" (-1 everywhere), "positive" (as L2D
            trains) or "negative_ignored" (0 in training, -1 in validation and test, as CoCo).
    """

    year: str = "2007"
    train_split: str | None = None
    difficult: str = "ignored"

    def __post_init__(self) -> None:
        """Accept a year given as a number; refuse unknown words."""
        self.year = str(self.year)
        super().__post_init__()
        if self.year not in SPLITS_OF:
            raise ValueError(f"year is {self.year!r}; expected one of {tuple(SPLITS_OF)}.")
        if self.train_split not in (None, *SPLITS_OF[self.year]):
            raise ValueError(f"train_split is {self.train_split!r}; expected one of {tuple(SPLITS_OF[self.year])}.")
        if self.difficult not in DIFFICULT:
            raise ValueError(f"difficult is {self.difficult!r}; expected one of {DIFFICULT}.")


def roots(data_dir: Path, year: str) -> list[Path]:
    """The folders of a year that exist under data_dir, in any of the usual spellings.

    Raises:
        FileNotFoundError: none exists.
    """
    inner = (f"VOC{year}", f"VOCdevkit/VOC{year}")
    outer = ("", f"VOCtrainval{year}/", f"VOCtest{year}/", f"VOCdevkit{year}/", f"VOC{year}/")
    places = [data_dir / (prefix + name) for prefix in outer for name in inner]
    found = [path for path in places if (path / "ImageSets").is_dir() or (path / "train.txt").is_file()]
    if (data_dir / "ImageSets").is_dir() or (data_dir / "train.txt").is_file():
        found.insert(0, data_dir)
    if not found:
        raise FileNotFoundError(
            f"{data_dir} holds no VOC{year}; expected ImageSets/, Annotations/ and JPEGImages/ in it, or in "
            f"VOC{year}/, VOCdevkit/VOC{year}/, VOCtrainval{year}/VOCdevkit/VOC{year}/ below it."
        )
    return found


def find_list(folders: list[Path], name: str, segmentation: bool) -> Path | None:
    """The list file of a split; the segmentation lists first where `train_aug` is trained on."""
    main, inner = ["ImageSets/Main"], ["ImageSets/Segmentation", "ImageSets/SegmentationAug", ""]
    places = inner + main if segmentation else [*main, ""]
    return next((p for root in folders for place in places if (p := root / place / f"{name}.txt").is_file()), None)


def read_annotations(
    data_dir: str | Path, year: str = "2007", train_split: str | None = None, with_boxes: bool = False
) -> Annotations:
    """Records of VOC; the image files need not be there.

    Args:
        data_dir: folder in any of the spellings of `roots`.
        year: "2007" or "2012".
        train_split: see `VocConfig`.
        with_boxes: keep the boxes of all objects, difficult ones included (needs XML).

    Returns:
        Splits named train, validation, test. Labels with difficult objects only are in `ignored`. Labels come
        from Annotations/*.xml, else ImageSets/Main/<label>_<list>.txt (1 yes, 0 difficult, -1 no), else
        labels.txt (an image id and a 0/1 a label in a line).

    Raises:
        FileNotFoundError, ValueError: missing or malformed annotations; names file and line.
    """
    folders = roots(Path(data_dir), year)
    lists = SPLITS_OF[year][train_split or ("trainval" if year == "2007" else "train")]
    splits: dict[str, list[Record]] = {}
    notes: list[str] = []
    for split, name in lists.items():
        path = find_list(folders, name, segmentation=lists["train"] == "train_aug")
        if path is None:
            if split == "train":
                raise FileNotFoundError(f"{folders[0]} has no list {name}.txt in ImageSets/Main; docs/datasets.md.")
            notes.append(f"There is no list {name}.txt, so there is no {split} split.")
            continue
        root = next(folder for folder in folders if folder in path.parents)
        splits[split] = _read_list(root, path, name, year, with_boxes)
    return Annotations(list(NAMES), splits, notes)


def _read_list(root: Path, path: Path, name: str, year: str, with_boxes: bool) -> list[Record]:
    """Records of one list file, whose lines begin with an image id or with /JPEGImages/<id>.jpg."""
    ids: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        source = f"{path}, line {number}"
        image_id = _id_of(line, source)
        _refuse_other_year(image_id, year, source)
        if image_id in ids:
            raise ValueError(f"{source}: image {image_id!r} was already named in {ids[image_id]}.")
        ids[image_id] = source
    if not ids:
        raise ValueError(f"{path} is empty; expected one image id a line.")
    paths = {key: image_path(root / "JPEGImages", f"{key}.jpg", source) for key, source in ids.items()}
    if (root / "Annotations").is_dir():
        return [_from_xml(root, key, paths[key], source) for key, source in ids.items()]
    if with_boxes:
        raise FileNotFoundError(f"{root} has no Annotations folder; with_boxes needs the XML files.")
    table = _label_lists(root, name, ids) or _label_table(root, ids)
    return [_record(key, paths[key], table[key], source) for key, source in ids.items()]


def _id_of(line: str, source: str) -> str:
    """The image id of a line: the id alone, or "/JPEGImages/<id>.jpg /SegmentationClassAug/<id>.png"."""
    if pair := _PICTURE_AND_MASK.fullmatch(line):
        return pair[1]
    parts = words(line)
    if len(parts) != 1:
        raise ValueError(f"{source}: found {line!r}; expected one image id.")
    return parts[0].removeprefix("/JPEGImages/").removesuffix(".jpg")


def _refuse_other_year(image_id: str, year: str, source: str) -> None:
    """VOC2007 numbers its images (000005); since 2008 the year stands before the number (2008_000002)."""
    found = "2007" if _OF_2007.fullmatch(image_id) else "2012" if _OF_2012.fullmatch(image_id) else year
    if found != year:
        raise ValueError(
            f"{source}: {image_id!r} is an image of VOC{found}, but year is {year!r}; pass year={found!r}."
        )


def _record(image_id: str, path: str, judged: Judgement, source: str) -> Record:
    return Record(
        image_id,
        path,
        tuple(name for name in NAMES if judged.get(name)),
        tuple(name for name in NAMES if judged.get(name) is False),
        source=source,
    )


def _from_xml(root: Path, image_id: str, path: str, source: str) -> Record:
    size, objects = read_objects(root / "Annotations" / f"{image_id}.xml", NAMES)
    judged: Judgement = {}
    for name, difficult, _ in objects:
        judged[name] = judged.get(name, False) or not difficult
    record = _record(image_id, path, judged, source)
    return record._replace(boxes=tuple((name, box) for name, _, box in objects), size=size)


def _label_lists(root: Path, name: str, ids: dict[str, str]) -> dict[str, Judgement] | None:
    """Judgements from ImageSets/Main/<label>_<list>.txt, or None where there are none."""
    files = {label: root / "ImageSets" / "Main" / f"{label}_{name}.txt" for label in NAMES}
    if not any(path.is_file() for path in files.values()):
        return None
    table: dict[str, Judgement] = {image_id: {} for image_id in ids}
    for label, path in files.items():
        seen: set[str] = set()
        for number, line in enumerate(read_lines(path), 1):
            parts = words(line)
            if len(parts) != 2 or parts[1] not in ("1", "0", "-1") or parts[0] not in table:
                raise ValueError(
                    f"{path}, line {number}: found {line!r}; expected an id of {name}.txt and 1, 0 or -1."
                )
            if parts[0] in seen:
                raise ValueError(f"{path}, line {number}: image {parts[0]!r} was named before; expected each once.")
            seen.add(parts[0])
            if parts[1] != "-1":
                table[parts[0]][label] = parts[1] == "1"
        if len(seen) != len(ids):
            raise ValueError(
                f"{path}, line {len(seen)}: the file ends after {len(seen)} images; {name}.txt has {len(ids)}."
            )
    return table


def _label_table(root: Path, ids: dict[str, str]) -> dict[str, Judgement]:
    """Judgements from labels.txt: an image id, then 0 or 1 for each of the 20 labels."""
    path = root / "labels.txt"
    if not path.is_file():
        raise FileNotFoundError(f"{root} has neither Annotations/*.xml, ImageSets/Main/<label>_*.txt nor labels.txt.")
    table: dict[str, Judgement] = {}
    for number, line in enumerate(read_lines(path), 1):
        image_id, *flags = words(line) or [""]
        if len(flags) != len(NAMES) or not set(flags) <= {"0", "1"}:
            raise ValueError(f"{path}, line {number}: expected an image id and {len(NAMES)} times 0 or 1.")
        if image_id in table:
            raise ValueError(f"{path}, line {number}: image {image_id!r} was named before; expected each once.")
        table[image_id] = {label: True for label, flag in zip(NAMES, flags) if flag == "1"}
    for image_id, source in ids.items():
        if image_id not in table:
            raise ValueError(f"{source}: image {image_id!r} has no line in {path}.")
    return table


class Voc(RecordBuilder):
    """PASCAL VOC 2007 or 2012."""

    BUILDER_CONFIG_CLASS = VocConfig

    @classmethod
    def sources(cls, config: Any) -> Iterable[Path]:
        """Lists, label tables and XML files of the year."""
        patterns = ("ImageSets/*/*.txt", "*.txt", "Annotations", "Annotations/*.xml")
        folders = roots(Path(config.data_dir), config.year)
        return {path for folder in folders for pattern in patterns for path in folder.glob(pattern)}

    def read(self) -> Annotations:
        """Records with difficult labels ignored or positive."""
        config = self.config
        annotations = read_annotations(config.data_dir, config.year, config.train_split, config.with_boxes)
        if config.difficult != "positive":
            return annotations
        splits = {split: [_all_positive(r) for r in rows] for split, rows in annotations.splits.items()}
        return Annotations(annotations.names, splits, annotations.notes)

    def finish(self, annotations: Annotations) -> Annotations:
        """For difficult="negative_ignored": negatives in training, left out of evaluation."""
        if self.config.difficult != "negative_ignored":
            return annotations
        train = [record._replace(ignored=()) for record in annotations.splits["train"]]
        return Annotations(annotations.names, {**annotations.splits, "train": train}, annotations.notes)


def _all_positive(record: Record) -> Record:
    positive = {*record.labels, *record.ignored}
    return record._replace(labels=tuple(name for name in NAMES if name in positive), ignored=())
