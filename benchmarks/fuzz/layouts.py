"""Small annotation trees in every layout, as {relative path: bytes}, and the options that open them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from benchmarks.fuzz import strict, strict_lists, strict_tables
from dataset_builders.voc import NAMES


class Layout(NamedTuple):
    """One way in which annotations lie on disk.

    Attributes:
        builder: name in `dataset_builders.loading.BUILDERS`.
        files: the tree.
        read: the strict reader: a tree's files to (names, splits).
        options: of the builder.
        place: what is opened, relative to the tree.
    """

    builder: str
    files: dict[str, bytes]
    read: Any
    options: dict[str, Any] = {}
    place: str = ""


def _jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


ROWS = [
    {"file_name": "a.jpg", "labels": ["cat", "sofa"]},
    {"file_name": "deep/b.jpg", "labels": [], "ignored": ["cat"]},
    {"file_name": "c.png", "labels": ["dog"], "image_id": "third", "split": "validation"},
    {"file_name": "test/d.jpg", "labels": ["dog", "cat"], "image_id": 4},
]


def _xml(objects: list[tuple[str, str]]) -> bytes:
    body = "".join(
        f"  <object>\n    <name>{name}</name>\n    <difficult>{difficult}</difficult>\n    <bndbox><xmin>1</xmin>"
        "<ymin>2</ymin><xmax>10</xmax><ymax>12</ymax></bndbox>\n  </object>\n"
        for name, difficult in objects
    )
    size = "  <size><width>24</width><height>16</height><depth>3</depth></size>\n"
    return f"<annotation>\n  <folder>VOC2007</folder>\n{size}{body}</annotation>\n".encode()


VOC = {
    "trainval": {"000005": [("dog", "0"), ("dog", "1"), ("person", "1")], "000007": [("cat", "0")], "000009": []},
    "test": {"000001": [("car", "1"), ("bus", "0")], "000002": [("train", "0")]},
}


def _voc_xml() -> dict[str, bytes]:
    files = {f"ImageSets/Main/{name}.txt": _text(list(rows)) for name, rows in VOC.items()}
    files |= {f"Annotations/{key}.xml": _xml(found) for rows in VOC.values() for key, found in rows.items()}
    return files


def _voc_lists() -> dict[str, bytes]:
    files = {f"ImageSets/Main/{name}.txt": _text(list(rows)) for name, rows in VOC.items()}
    for name, rows in VOC.items():
        for label in NAMES:
            lines = []
            for key, found in rows.items():
                flags = [difficult for each, difficult in found if each == label]
                lines.append(f"{key} {-1 if not flags else 1 if '0' in flags else 0:2d}")
            files[f"ImageSets/Main/{label}_{name}.txt"] = _text(lines)
    return files


def _voc_table() -> dict[str, bytes]:
    ids = ["2007_000032", "2008_000002", "2011_000003"]
    rows = [f"{key} " + " ".join("1" if (place + key_place) % 7 == 0 else "0" for place in range(20))
            for key_place, key in enumerate(ids)]  # fmt: skip
    lines = [f"/JPEGImages/{ids[0]}.jpg /SegmentationClassAug/{ids[0]}.png", ids[1]]
    return {"train.txt": _text(lines), "val.txt": _text(ids[2:]), "labels.txt": _text(rows)}


def _coco() -> dict[str, bytes]:
    categories = [{"id": 3, "name": "car"}, {"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]
    parts = {
        "train": ([9, 25, 30], [(9, 1), (9, 18), (25, 3)]),
        "val": ([42, 57], [(42, 3), (57, 3), (57, 1)]),
    }
    return {
        f"annotations/instances_{phase}2017.json": _json(
            {
                "images": [{"id": i, "file_name": f"{i:012d}.jpg", "width": 24, "height": 16} for i in ids],
                "annotations": [
                    {"id": n, "image_id": i, "category_id": c, "bbox": [1, 2, 3.5, 4], "iscrowd": 0}
                    for n, (i, c) in enumerate(objects)
                ],
                "categories": categories,
            }
        )
        for phase, (ids, objects) in parts.items()
    }


def _mlgcn() -> dict[str, bytes]:
    return {
        "category.json": _json({"car": 0, "dog": 1, "person": 2}),
        "train_anno.json": _json([{"file_name": "t1.jpg", "labels": [2, 1]}, {"file_name": "t2.jpg", "labels": []}]),
        "val_anno.json": _json([{"file_name": "v1.jpg", "labels": [0]}]),
    }


def _nus(kind: str) -> dict[str, bytes]:
    images = ["actor\\0001_1.jpg", "actor\\0002_2.jpg", "bay\\0003_3.jpg", "bay\\0004_4.jpg", "sea\\5.jpg"]
    flags = {"sky": "10101", "dog": "00110", "sea": "00000"}
    lists = {"Imagelist": images, "TrainImagelist": images[:3], "TestImagelist": images[3:]}
    files = {f"ImageList/{name}.txt": "".join(f"{n}\r\n" for n in names).encode() for name, names in lists.items()}
    if kind == "TrainTestLabels":
        del files["ImageList/Imagelist.txt"]
    files["ConceptsList/Concepts81.txt"] = _text(list(flags))
    for name, row in flags.items():
        parts = {"": row} if kind == "AllLabels" else {"_Train": row[:3], "_Test": row[3:]}
        files |= {f"Groundtruth/{kind}/Labels_{name}{suffix}.txt": _text(list(part)) for suffix, part in parts.items()}
    return files


def _visual_genome() -> dict[str, bytes]:
    return {
        "train_list_500.txt": _text(["1.jpg", "2.jpg"]),
        "test_list_500.txt": _text(["3.jpg"]),
        "vg_category_500_labels_index.json": _json({"1.jpg": [0, 499], "2.jpg": [7], "3.jpg": [7, 7, 1], "9.jpg": []}),
    }


TAGS = [("a.jpg", "cat|sofa", "train"), ("b.png", "", "train"), ("c.jpg", "dog", "test"), ("d.jpg", "dog|cat", "test")]
STATES = [("a.jpg", "1", "0"), ("b.png", "0", ""), ("c.jpg", "-1", "1")]

LAYOUTS = {
    "folder": Layout("folder", {"metadata.jsonl": _jsonl(ROWS)}, strict.folder),
    "folder of splits": Layout(
        "folder",
        {"train/metadata.jsonl": _jsonl(ROWS[:2]), "val/metadata.jsonl": _jsonl([{**ROWS[0], "labels": ["dog"]}])},
        strict.folder,
    ),
    "voc, xml": Layout("voc", _voc_xml(), strict.voc_xml),
    "voc, lists": Layout("voc", _voc_lists(), strict_lists.voc_lists),
    "voc, table": Layout("voc", _voc_table(), strict_lists.voc_table, {"year": "2012", "train_split": "train"}),
    "coco": Layout("coco", _coco(), strict.coco, {"year": "2017"}),
    "coco, ML-GCN": Layout("coco", _mlgcn(), strict.mlgcn, {"unlabeled": "keep"}),
    "nus_wide": Layout("nus_wide", _nus("TrainTestLabels"), strict_lists.nus_wide),
    "nus_wide, all labels": Layout("nus_wide", _nus("AllLabels"), strict_lists.nus_wide),
    "visual_genome": Layout("visual_genome", _visual_genome(), strict_lists.visual_genome),
    "table, tags": Layout(
        "table",
        {"t.csv": _text(["path,tags,split", *map(",".join, TAGS)])},
        strict_tables.tags,
        {"image_column": "path", "tags_column": "tags", "separator": "|"},
        "t.csv",
    ),
    "table, columns": Layout(
        "table",
        {"t.tsv": _text(["path\tcat\tdog", *map("\t".join, STATES)])},
        strict_tables.states,
        {"image_column": "path", "label_columns": ["cat", "dog"]},
        "t.tsv",
    ),
    "table, lines": Layout(
        "table",
        {"t.jsonl": _jsonl([{"path": name, "tags": tags.split("|") if tags else [], "split": split}
                            for name, tags, split in TAGS])},
        strict_tables.lines,
        {"image_column": "path", "tags_column": "tags", "separator": "|"},
        "t.jsonl",
    ),
}  # fmt: skip
