"""Tiny data sets in their owners' layouts, made on the fly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(path: Path, size: tuple[int, int] = (24, 16), seed: int | None = None, **save: Any) -> Path:
    """A small JPEG (or what the suffix says) of its own colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(sum(path.as_posix()[-24:].encode()) if seed is None else seed)
    pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **save)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, value: Any) -> Path:
    return write(path, json.dumps(value))


def metadata(folder: Path, rows: list[dict[str, Any]], images: bool = True) -> Path:
    """A folder with metadata.jsonl and its pictures."""
    write(folder / "metadata.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    if images:
        for row in rows:
            picture(folder / row["file_name"])
    return folder


COCO_CATEGORIES = [{"id": 3, "name": "car"}, {"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]


def coco(root: Path, year: str = "2017", images: bool = True) -> Path:
    """Two training images (one without objects) and one validation image."""
    contents = {
        "train": ([9, 25], [(9, 1, [1, 2, 3, 4]), (9, 18, [0, 0, 10, 8]), (9, 1, [5, 5, 2, 2])]),
        "val": ([42], [(42, 3, [2, 2, 4, 4])]),
    }
    for phase, (ids, objects) in contents.items():
        prefix = f"COCO_{phase}2014_" if year == "2014" else ""
        names = {key: f"{prefix}{key:012d}.jpg" for key in ids}
        value = {
            "images": [{"id": k, "file_name": name, "width": 24, "height": 16} for k, name in names.items()],
            "annotations": [
                {"id": number, "image_id": image, "category_id": category, "bbox": box, "iscrowd": 0}
                for number, (image, category, box) in enumerate(objects)
            ],
            "categories": COCO_CATEGORIES,
        }
        write_json(root / "annotations" / f"instances_{phase}{year}.json", value)
        for name in names.values() if images else ():
            picture(root / f"{phase}{year}" / name)
    return root


def mlgcn(root: Path) -> Path:
    write_json(root / "category.json", {"car": 0, "dog": 1, "person": 2})
    write_json(root / "train_anno.json", [{"file_name": "COCO_train2014_1.jpg", "labels": [2, 1]}])
    write_json(root / "val_anno.json", [{"file_name": "COCO_val2014_2.jpg", "labels": [0]}])
    picture(root / "train2014" / "COCO_train2014_1.jpg")
    picture(root / "val2014" / "COCO_val2014_2.jpg")
    return root


def voc_xml(objects: list[tuple[str, int]], head: str = "") -> str:
    body = "".join(
        f"<object><name>{name}</name>\n<difficult>{difficult}</difficult>\n<bndbox><xmin>1</xmin><ymin>2</ymin>"
        "<xmax>10</xmax><ymax>12</ymax></bndbox></object>\n"
        for name, difficult in objects
    )
    size = "<size><width>24</width><height>16</height><depth>3</depth></size>"
    return f"<?xml version='1.0'?>\n{head}<annotation>\n{size}\n{body}</annotation>\n"


VOC_OBJECTS = {
    "train": {"000001": [("dog", 0), ("dog", 1), ("person", 1)], "000002": [("cat", 0)]},
    "val": {"000003": [("person", 0)]},
    "test": {"000004": [("car", 1), ("bus", 0)]},
}


def voc(root: Path, lists: tuple[str, ...] = ("train", "val", "trainval"), xml: bool = True, prefix: str = "") -> Path:
    """A VOC folder (the one that holds ImageSets) with the given lists; VOC2012's ids begin with "2008_"."""
    parts = {name: {prefix + key: objects for key, objects in rows.items()} for name, rows in VOC_OBJECTS.items()}
    members = {**parts, "trainval": {**parts["train"], **parts["val"]}}
    members["train_aug"] = members["trainval"]
    for name in lists:
        write(root / "ImageSets" / "Main" / f"{name}.txt", "".join(f"{key}\n" for key in members[name]))
        for key, objects in members[name].items():
            picture(root / "JPEGImages" / f"{key}.jpg")
            if xml:
                write(root / "Annotations" / f"{key}.xml", voc_xml(objects))
        if not xml:
            _voc_label_lists(root, name, members[name])
    return root


def _voc_label_lists(root: Path, name: str, members: dict[str, list[tuple[str, int]]]) -> None:
    from dataset_builders.voc import NAMES

    for label in NAMES:
        lines = []
        for key, objects in members.items():
            difficult = [flag for found, flag in objects if found == label]
            flag = -1 if not difficult else 1 if 0 in difficult else 0
            lines.append(f"{key} {flag:2d}\n")
        write(root / "ImageSets" / "Main" / f"{label}_{name}.txt", "".join(lines))


NUS_LABELS = {"sky": [1, 0, 1, 0], "dog": [0, 0, 1, 1], "sea": [0, 0, 0, 0]}
NUS_IMAGES = ["actor\\0001_1.jpg", "actor\\0002_2.jpg", "bay\\0003_3.jpg", "bay\\0004_4.jpg"]


def nus_wide(root: Path, kind: str = "TrainTestLabels", images: bool = True) -> Path:
    """Three training images and one test image; names with Windows separators."""
    write(root / "ConceptsList" / "Concepts81.txt", "".join(f"{name}\n" for name in NUS_LABELS))
    lists = {"TrainImagelist": NUS_IMAGES[:3], "TestImagelist": NUS_IMAGES[3:], "Imagelist": NUS_IMAGES}
    for name, members in lists.items():
        write(root / "ImageList" / f"{name}.txt", "".join(f"{member}\r\n" for member in members))
    for label, flags in NUS_LABELS.items():
        parts = {"_Train": flags[:3], "_Test": flags[3:]} if kind == "TrainTestLabels" else {"": flags}
        for suffix, part in parts.items():
            folder = root / "Groundtruth" / kind
            write(folder / f"Labels_{label}{suffix}.txt", "".join(f"{flag}\n" for flag in part))
    for name in NUS_IMAGES if images else ():
        picture(root / "Flickr" / name.replace("\\", "/"))
    return root


def visual_genome(root: Path) -> Path:
    write(root / "train_list_500.txt", "1.jpg\n2.jpg\n")
    write(root / "test_list_500.txt", "3.jpg\n")
    write_json(root / "vg_category_500_labels_index.json", {"1.jpg": [0, 499], "2.jpg": [7], "3.jpg": [7, 7, 1]})
    picture(root / "VG_100K" / "1.jpg")
    picture(root / "VG_100K_2" / "2.jpg")
    picture(root / "VG_100K_2" / "3.jpg")
    return root
