"""NUS-WIDE: 81 concepts, the official lists and label files, or a split of your own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset_builders.builder import RecordBuilder, RecordConfig
from dataset_builders.image_path import image_path, without_ending
from dataset_builders.record import Annotations, Record
from dataset_builders.text_file import BLANKS, read_lines

OFFICIAL = {"train": "TrainImagelist.txt", "test": "TestImagelist.txt"}
_PLACES = ("", "ConceptsList", "ImageList", "Groundtruth", "NUS-WIDE-Tags", "NUS_WID_Tags")
_LABEL_PLACES = ("Groundtruth", "", "NUS_WIDE_Groundtruth")
_IMAGE_PLACES = ("Flickr", "images", "Images", "image")


@dataclass
class NusWideConfig(RecordConfig):
    """Options of nus_wide.

    Attributes:
        label_files: "TrainTestLabels" or "AllLabels"; None takes the first that is there.
        split_name: what to call the split; it is noted with a hash of its image names.
        train_list: file of image names, relative to data_dir, instead of ImageList/TrainImagelist.txt.
        test_list: file of image names instead of ImageList/TestImagelist.txt.
    """

    label_files: str | None = None
    split_name: str = "official"
    train_list: str | None = None
    test_list: str | None = None

    def __post_init__(self) -> None:
        """Refuse a list of one's own under the official name."""
        super().__post_init__()
        if self.label_files not in (None, "TrainTestLabels", "AllLabels"):
            raise ValueError(f"label_files is {self.label_files!r}; expected 'TrainTestLabels' or 'AllLabels'.")
        if (self.train_list or self.test_list) and self.split_name == "official":
            raise ValueError("train_list or test_list make another split than the official one; give it a split_name.")


def _find(data_dir: Path, name: str) -> Path:
    return next((p for place in _PLACES if (p := data_dir / place / name).is_file()), data_dir / "ImageList" / name)


def read_list(path: Path) -> list[str]:
    """Image names of a list, with "/" between folders.

    Raises:
        ValueError: an empty or repeated line; names file and line.
    """
    names = [line.strip(BLANKS).replace("\\", "/") for line in read_lines(path)]
    first: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if not name or name in first:
            what = f"{name!r} was already named in line {first[name]}" if name else "empty; expected an image name"
            raise ValueError(f"{path}, line {number}: {what}.")
        first[name] = number
    if not names:
        raise ValueError(f"{path} is empty; expected one image name a line.")
    return names


def read_concepts(path: Path) -> list[str]:
    """Label names, one a line.

    Raises:
        ValueError: an empty or repeated name, or one that cannot be in a file name; names file and line.
    """
    names = [line.strip(BLANKS) for line in read_lines(path)]
    for number, name in enumerate(names, 1):
        if not name or name in names[: number - 1] or set(name) & {"/", "\\"}:
            raise ValueError(f"{path}, line {number}: {name!r} is empty, repeated or a path; expected a concept.")
    if not names:
        raise ValueError(f"{path} is empty; expected one concept a line.")
    return names


def read_column(path: Path, images: Path, count: int) -> np.ndarray:
    """One concept's labels (count,), True where the image has it.

    Args:
        path: label file, one 0 or 1 a line.
        images: the image list that the lines belong to.
        count: its length.

    Raises:
        FileNotFoundError: the label file is missing.
        ValueError: another length than the image list, or another value than 0 and 1; names file and line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; every concept of Concepts81.txt needs its label file.")
    values = [line.strip(BLANKS) for line in read_lines(path)]
    if set(values) - {"0", "1"}:
        wrong = next(number for number, value in enumerate(values, 1) if value not in ("0", "1"))
        raise ValueError(f"{path}, line {wrong}: found {values[wrong - 1]!r}; expected 0 or 1.")
    if len(values) != count:
        raise ValueError(
            f"{path} has {len(values)} labels and {images} has {count} images; they part at line "
            f"{min(len(values), count) + 1}."
        )
    return np.array(values) == "1"


def _label_folder(data_dir: Path, kind: str | None) -> tuple[str, Path]:
    for name in (kind,) if kind else ("TrainTestLabels", "AllLabels"):
        for place in _LABEL_PLACES:
            if (folder := data_dir / place / name).is_dir():
                return name, folder
    raise FileNotFoundError(f"{data_dir} has no Groundtruth/{kind or 'TrainTestLabels'} (nor Groundtruth/AllLabels).")


def read_annotations(
    data_dir: str | Path,
    label_files: str | None = None,
    split_name: str = "official",
    train_list: str | None = None,
    test_list: str | None = None,
) -> Annotations:
    """Records of NUS-WIDE; the image files need not be there.

    Args:
        data_dir: folder with ConceptsList/, ImageList/, Groundtruth/ and Flickr/.
        label_files: see `NusWideConfig`, as the others.
        split_name: name for the note.
        train_list: another training list.
        test_list: another test list.

    Returns:
        Splits "train" and "test", images without labels included; a note names the split and its hash.

    Raises:
        FileNotFoundError, ValueError: missing files, unequal lengths, unknown images; names file and line.
    """
    data_dir = Path(data_dir)
    names = read_concepts(_find(data_dir, "Concepts81.txt"))
    kind, folder = _label_folder(data_dir, label_files)
    labelled: dict[str, np.ndarray] = {}
    parts = {"": "Imagelist.txt"} if kind == "AllLabels" else {"_Train": OFFICIAL["train"], "_Test": OFFICIAL["test"]}
    for suffix, list_name in parts.items():
        path = _find(data_dir, list_name)
        images = read_list(path)
        files = [folder / f"Labels_{name}{suffix}.txt" for name in names]
        if strangers := sorted(set(folder.glob(f"Labels_*{suffix}.txt")) - set(files)):
            raise ValueError(f"{strangers[0]} is of no concept in Concepts81.txt; are the two of one release?")
        if twice := next((name for name in images if name in labelled), None):
            raise ValueError(f"{path}: image {twice!r} is in the training list, too; every image comes once.")
        table = np.stack([read_column(file, path, len(images)) for file in files], axis=1)
        labelled.update(zip(images, table))
    root = next((path for place in _IMAGE_PLACES if (path := data_dir / place).is_dir()), data_dir / _IMAGE_PLACES[0])
    splits: dict[str, list[Record]] = {}
    for split, own in (("train", train_list), ("test", test_list)):
        path = data_dir / own if own else _find(data_dir, OFFICIAL[split])
        splits[split] = [
            _record(root, name, labelled, names, f"{path}, line {number}")
            for number, name in enumerate(read_list(path), 1)
        ]
    sizes = ", ".join(f"{len(rows)} {split}" for split, rows in splits.items())
    note = f"NUS-WIDE split {split_name!r}: {sizes} images, hash {split_hash(splits)}."
    return Annotations(names, splits, [note])


def _record(root: Path, name: str, labelled: dict[str, np.ndarray], names: list[str], source: str) -> Record:
    if name not in labelled:
        raise ValueError(f"{source}: image {name!r} has no labels in the label files.")
    labels = tuple(names[i] for i in np.flatnonzero(labelled[name]).tolist())
    return Record(without_ending(name), image_path(root, name, source), labels, source=source)


def split_hash(splits: dict[str, list[Record]]) -> str:
    """12 hex digits that two splits share when the same images are in the same parts, in whatever order."""
    digest = hashlib.sha256()
    for split in sorted(splits):
        digest.update("\n".join([split, *sorted(record.image_id for record in splits[split])]).encode() + b"\0")
    return digest.hexdigest()[:12]


class NusWide(RecordBuilder):
    """NUS-WIDE with 81 concepts (images without labels kept unless unlabeled="drop")."""

    BUILDER_CONFIG_CLASS = NusWideConfig

    @classmethod
    def sources(cls, config: Any) -> Iterable[Path]:
        """Concepts, image lists and label files."""
        data_dir = Path(config.data_dir)
        _, folder = _label_folder(data_dir, config.label_files)
        lists = [_find(data_dir, name) for name in (*OFFICIAL.values(), "Imagelist.txt", "Concepts81.txt")]
        own = [data_dir / name for name in (config.train_list, config.test_list) if name]
        return [*lists, *own, *folder.glob("Labels_*.txt")]

    def read(self) -> Annotations:
        """Records of the chosen split."""
        config = self.config
        return read_annotations(
            config.data_dir, config.label_files, config.split_name, config.train_list, config.test_list
        )
