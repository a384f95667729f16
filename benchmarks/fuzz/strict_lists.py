"""Other readers of the layouts made of lists: VOC's, NUS-WIDE's and Visual Genome's."""

from __future__ import annotations

import re
from typing import Any

from benchmarks.fuzz.strict import VOC_NAMES, Read, lines_of, need, path_of, stem, whole
from benchmarks.fuzz.strict_json import parse, text_of

OF_2012 = re.compile(r"20\d\d_\d{6}", re.ASCII)
OF_2007 = re.compile(r"\d{6}", re.ASCII)


def ids_of(raw: bytes, wrong_year: re.Pattern[str]) -> list[str]:
    """The ids of a list: one a line, or the paths of a picture and its mask."""
    found = []
    for line in lines_of(raw):
        mask = re.fullmatch(r"[ \t]*/\S*?([^/\s]+)\.\w+[ \t]+/\S*?([^/\s]+)\.\w+", line)
        if mask:
            need(mask[1] == mask[2], "two pictures")
            key = mask[1]
        else:
            key = line.strip(" \t").removeprefix("/JPEGImages/").removesuffix(".jpg")
        need(key and not re.search(r"\s", key) and not wrong_year.fullmatch(key), "an id")
        path_of(f"{key}.jpg")
        found.append(key)
    need(found and len(set(found)) == len(found), "an id twice")
    return found


def voc_lists(files: dict[str, bytes]) -> Read:
    """A list of ids, and one of 1, 0 (difficult), -1 a class."""
    found: dict[str, list[tuple[str, Any, Any]]] = {}
    for name, split in (("trainval", "train"), ("test", "test")):
        raw = files.get(f"ImageSets/Main/{name}.txt")
        need(raw is not None or split != "train", "no training list")
        if raw is None:
            continue
        ids = ids_of(raw, OF_2012)
        judged: dict[str, dict[str, str]] = {key: {} for key in ids}
        for label in VOC_NAMES:
            need(f"ImageSets/Main/{label}_{name}.txt" in files, "no list of a class")
            for line in lines_of(files[f"ImageSets/Main/{label}_{name}.txt"]):
                row = re.fullmatch(r"[ \t]*(\S+)[ \t]+(1|0|-1)", line)
                need(row and row[1] in judged and label not in judged[row[1]], "a line")
                judged[row[1]][label] = row[2]
        need(all(len(row) == len(VOC_NAMES) for row in judged.values()), "a line too few")
        found[split] = [(k, _with(row, "1"), _with(row, "0")) for k, row in judged.items()]
    return whole(found, VOC_NAMES)


def _with(row: dict[str, str], flag: str) -> list[str]:
    return [label for label, each in row.items() if each == flag]


def voc_table(files: dict[str, bytes]) -> Read:
    """Two lists of ids, and a table of twenty 0 or 1."""
    need("labels.txt" in files and "train.txt" in files, "no table or list")
    table: dict[str, list[str]] = {}
    for line in lines_of(files["labels.txt"]):
        row = re.fullmatch(r"[ \t]*(\S+)((?:[ \t]+[01]){20})", line)
        need(row and row[1] not in table, "a line")
        table[row[1]] = [label for label, flag in zip(VOC_NAMES, row[2].split()) if flag == "1"]
    found = {}
    for name, split in (("train", "train"), ("val", "validation")):
        if f"{name}.txt" in files:
            ids = ids_of(files[f"{name}.txt"], OF_2007)
            need(all(key in table for key in ids), "no labels")
            found[split] = [(key, table[key], ()) for key in ids]
    return whole(found, VOC_NAMES)


def nus_wide(files: dict[str, bytes]) -> Read:
    """Lists of images, and a column of 0 or 1 a concept."""
    kind = "AllLabels" if any("/AllLabels/" in name for name in files) else "TrainTestLabels"
    need("ConceptsList/Concepts81.txt" in files, "no concepts")
    names = [line.strip(" \t") for line in lines_of(files["ConceptsList/Concepts81.txt"])]
    need(all(name and not set(name) & set("/\\") for name in names), "a concept")
    lists = {"Train": _images(files, "TrainImagelist"), "Test": _images(files, "TestImagelist")}
    parts = {"": _images(files, "Imagelist")} if kind == "AllLabels" else {f"_{k}": v for k, v in lists.items()}
    labels: dict[str, list[str]] = {}
    used = set()
    for suffix, images in parts.items():
        need(not set(images) & set(labels), "an image twice")
        labels |= {name: [] for name in images}
        for concept in names:
            file = f"Groundtruth/{kind}/Labels_{concept}{suffix}.txt"
            need(file in files, "no labels of a concept")
            used.add(file)
            flags = [line.strip(" \t") for line in lines_of(files[file])]
            need(set(flags) <= {"0", "1"} and len(flags) == len(images), "flags")
            for image, flag in zip(images, flags):
                if flag == "1":
                    labels[image].append(concept)
    need(used == {name for name in files if name.startswith("Groundtruth/")}, "a file of no concept")
    found = {}
    for name, images in lists.items():
        need(all(image in labels for image in images), "an image without labels")
        found[name.lower()] = [(stem(image), labels[image], ()) for image in images]
    return whole(found, names)


def _images(files: dict[str, bytes], name: str) -> list[str]:
    need(f"ImageList/{name}.txt" in files, "no list")
    images = [line.strip(" \t").replace("\\", "/") for line in lines_of(files[f"ImageList/{name}.txt"])]
    need(images and len(set(images)) == len(images) and all(images), "a list")
    if name != "Imagelist":
        for image in images:
            path_of(image)
    return images


def visual_genome(files: dict[str, bytes]) -> Read:
    """Two lists of images, and an index of label numbers."""
    need("vg_category_500_labels_index.json" in files, "no index")
    index = parse(text_of(files["vg_category_500_labels_index.json"]))
    need(isinstance(index, dict), "an index")
    found: dict[str, list[tuple[str, Any, Any]]] = {}
    for split in ("train", "test"):
        need(f"{split}_list_500.txt" in files, "no list")
        images = [line.strip(" \t") for line in lines_of(files[f"{split}_list_500.txt"])]
        need(len(set(images)) == len(images), "an image twice")
        found[split] = []
        for image in images:
            path_of(image)
            numbers = index.get(image)
            need(isinstance(numbers, list) and all(type(x) is int and 0 <= x < 500 for x in numbers), "numbers")
            found[split].append((stem(image), [f"category_{x:03d}" for x in numbers], ()))
    return whole(found, [f"category_{x:03d}" for x in range(500)])
