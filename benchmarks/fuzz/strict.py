"""Other readers of the JSON and XML layouts, written from docs/datasets.md: whatever they do not know is refused."""

from __future__ import annotations

import re
from typing import Any
from xml.parsers import expat

from benchmarks.fuzz.strict_json import Strict, parse, text_of

Labels = tuple[frozenset[str], frozenset[str]]
Read = tuple[list[str], dict[str, dict[str, Labels]]]
SPLITS = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
VOC = "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant"
VOC_NAMES = [*VOC.split(), "sheep", "sofa", "train", "tvmonitor"]


def need(true: Any, what: str) -> None:
    """Refuse unless something is true."""
    if not true:
        raise Strict(what)


def lines_of(raw: bytes) -> list[str]:
    """Lines, whatever ends them, without blanks behind; empty ones at the end are dropped."""
    rows = [row.rstrip(" \t") for row in re.split("\r\n|\r|\n", text_of(raw))]
    while rows and not rows[-1]:
        rows.pop()
    return rows


def path_of(name: Any) -> str:
    """A relative path inside the folder, in one spelling."""
    need(isinstance(name, str) and name.strip("./\\ ") and "\0" not in name, "a file name")
    parts = name.replace("\\", "/").split("/")
    need(parts[0] != "" and not parts[0].endswith(":") and ".." not in parts, "a path outside")
    return "/".join(part for part in parts if part not in ("", "."))


def stem(name: str) -> str:
    """A name without its ending; a name that begins with a dot has none."""
    head, dot, tail = name.rpartition(".")
    return head if dot and "/" not in tail and head.rpartition("/")[2].strip(".") else name


def whole(found: dict[str, list[tuple[str, Any, Any]]], names: list[str]) -> Read:
    """Splits of (id, labels, ignored), when no split is empty and no id comes twice."""
    ids = [key for rows in found.values() for key, _, _ in rows]
    need(len(set(ids)) == len(ids), "an id twice")
    need(all(found.values()), "a split without images")
    need(names and len(set(names)) == len(names), "label names")
    return names, {
        split: {key: (frozenset(labels), frozenset(unknown)) for key, labels, unknown in rows}
        for split, rows in found.items()
    }


def folder(files: dict[str, bytes]) -> Read:
    """`metadata.jsonl`, one for all or one a split."""
    found: dict[str, list[tuple[str, Any, Any]]] = {}
    paths: list[str] = []
    for name, raw in files.items():
        place = name.rpartition("/")[0]
        rows = [parse(line) for line in lines_of(raw) if line]
        need(rows, "no rows")
        for row in rows:
            need(isinstance(row, dict) and {"file_name", "labels"} <= set(row), "a row")
            path = path_of(row["file_name"])
            labels, ignored = label_names(row["labels"]), label_names(row.get("ignored", []))
            need(not labels & ignored, "a label on both sides")
            split = SPLITS.get(place)
            given = row.get("split")
            need(given is None or (isinstance(given, str) and given in SPLITS), "a split")
            need(not (split and given) or SPLITS[given] == split, "a split in another's folder")
            first = row["file_name"].replace("\\", "/").split("/")
            inferred = SPLITS.get(first[0], "train") if len(first) > 1 else "train"
            key = row.get("image_id", f"{split}/{row['file_name']}" if split else row["file_name"])
            need(type(key) in (str, int) and key != "", "an id")
            paths.append(f"{place}/{path}")
            found.setdefault(split or (SPLITS[given] if given else inferred), []).append((str(key), labels, ignored))
    need(len(set(paths)) == len(paths), "a file twice")
    return whole(found, sorted({x for rows in found.values() for _, *both in rows for part in both for x in part}))


def label_names(value: Any) -> set[str]:
    """A list of names."""
    need(isinstance(value, list) and all(isinstance(x, str) and x.strip() for x in value), "label names")
    return set(value)


def coco(files: dict[str, bytes]) -> Read:
    """The official files of objects."""
    found: dict[str, list[tuple[str, Any, Any]]] = {}
    vocabularies = []
    for phase, split in (("train", "train"), ("val", "validation")):
        raw = files.get(f"annotations/instances_{phase}2017.json")
        if raw is None:
            continue
        tree = parse(text_of(raw))
        need(isinstance(tree, dict), "an object")
        tables = [tree.get(key) for key in ("images", "annotations", "categories")]
        need(all(isinstance(t, list) and all(isinstance(e, dict) for e in t) for t in tables), "three lists")
        images, annotations, categories = tables
        for table in (images, categories):
            ids = [entry.get("id") for entry in table]
            need(all(type(key) is int for key in ids) and len(set(ids)) == len(ids), "ids")
        names = {entry["id"]: entry.get("name") for entry in categories}
        need(all(isinstance(n, str) and n.strip() for n in names.values()), "names")
        need(len(set(names.values())) == len(names), "a name twice")
        labels: dict[int, set[str]] = {entry["id"]: set() for entry in images}
        for entry in annotations:
            image, category = entry.get("image_id"), entry.get("category_id")
            need(type(image) is int and image in labels and type(category) is int and category in names, "of nothing")
            box = entry.get("bbox", [0, 0, 0, 0])
            need(isinstance(box, list) and len(box) == 4 and all(type(x) in (int, float) for x in box), "a box")
            need(all(-1e9 < x < 1e9 for x in box) and box[2] >= 0 and box[3] >= 0, "a box")
            labels[image].add(names[category])
        for entry in images:
            size = [entry.get(side) for side in ("width", "height")]
            need(size == [None, None] or all(type(side) is int and side > 0 for side in size), "a size")
            path_of(entry.get("file_name"))
        found[split] = [(stem(entry["file_name"]), labels[entry["id"]], ()) for entry in images]
        vocabularies.append(sorted(names.values()))
    need(vocabularies and all(names == vocabularies[0] for names in vocabularies), "vocabularies")
    return whole(found, vocabularies[0])


def mlgcn(files: dict[str, bytes]) -> Read:
    """The lists of image labels."""
    need("category.json" in files, "no categories")
    ids = parse(text_of(files["category.json"]))
    need(isinstance(ids, dict) and all(type(x) is int for x in ids.values()), "categories")
    names = {place: name for name, place in ids.items()}
    need(sorted(ids.values()) == list(range(len(ids))) and all(name.strip() for name in ids), "categories")
    found = {}
    for phase, split in (("train", "train"), ("val", "validation")):
        if f"{phase}_anno.json" not in files:
            continue
        rows = parse(text_of(files[f"{phase}_anno.json"]))
        need(isinstance(rows, list), "a list")
        for row in rows:
            need(isinstance(row, dict) and isinstance(row.get("labels"), list), "labels")
            need(all(type(x) is int and x in names for x in row["labels"]), "labels")
            path_of(row.get("file_name"))
        found[split] = [(stem(row["file_name"]), [names[x] for x in row["labels"]], ()) for row in rows]
    need(found, "no list")
    return whole(found, [names[x] for x in range(len(names))])


def voc_xml(files: dict[str, bytes]) -> Read:
    """Lists of ids, and an XML file an image."""
    found: dict[str, list[tuple[str, Any, Any]]] = {}
    for name, split in (("trainval", "train"), ("test", "test")):
        raw = files.get(f"ImageSets/Main/{name}.txt")
        need(raw is not None or split != "train", "no training list")
        if raw is None:
            continue
        found[split] = []
        for line in lines_of(raw):
            key = line.strip(" \t").removeprefix("/JPEGImages/").removesuffix(".jpg")
            need(key and not re.search(r"\s", key) and not re.fullmatch(r"20\d\d_\d{6}", key), "an id")
            path_of(f"{key}.jpg")
            need(f"Annotations/{key}.xml" in files, "no XML")
            sure, unsure = _objects(text_of(files[f"Annotations/{key}.xml"]))
            found[split].append((key, sure, unsure - sure))
    return whole(found, VOC_NAMES)


def _objects(text: str) -> tuple[set[str], set[str]]:
    """Classes with an object that is not difficult, and with one that is."""
    events: list[tuple[tuple[str, ...], str]] = []
    stack: list[str] = []
    texts: list[list[str]] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        need(":" not in tag and not any(key.startswith("xmlns") for key in attributes), "a namespace")
        stack.append(tag)
        texts.append([])
        if tuple(stack) == ("annotation", "object"):
            events.append((("object",), ""))

    def end(tag: str) -> None:
        content = "".join(texts.pop())
        if texts:
            texts[-1].append(content)
        events.append((tuple(stack), content.strip(" \t\r\n")))
        stack.pop()

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = lambda content: texts[-1].append(content)
    parser.StartDoctypeDeclHandler = lambda *_: need(False, "a document type")
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise Strict(str(error)) from None
    need(events and events[-1][0] == ("annotation",), "another root")
    found: list[dict[str, list[str]]] = []
    for path, content in events:
        need(path[-1].lower() not in ("objects", "annotation", "object") or path in
             (("annotation",), ("annotation", "object"), ("object",)), "misplaced")  # fmt: skip
        if path == ("object",):
            found.append({})
        elif path[:2] == ("annotation", "object"):
            found[-1].setdefault("/".join(path[2:]), []).append(content)
        elif path in (("annotation", "size", "width"), ("annotation", "size", "height")):
            need(re.fullmatch("[0-9]*", content), "a size")
    sure, unsure = set(), set()
    for each in found:
        need(len(each.get("name", [])) == 1 and each["name"][0] in VOC_NAMES, "a class")
        difficult = each.get("difficult", ["0"])
        need(difficult in (["0"], ["1"]) and len(each.get("bndbox", [])) == 1, "difficult, or a box")
        (unsure if difficult == ["1"] else sure).add(each["name"][0])
    return sure, unsure
