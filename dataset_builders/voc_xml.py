"""Read one VOC annotation file; entity tricks are refused (defusedxml)."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from dataset_builders.text_file import BLANKS, read_text

Box = tuple[float, float, float, float]


def read_objects(path: Path, names: Collection[str]) -> tuple[tuple[int, int] | None, list[tuple[str, bool, Box]]]:
    """The image size and the objects of an annotation file.

    Args:
        path: the XML file.
        names: known classes.

    Returns:
        ((width, height) or None, [(class, difficult, (left, top, right, bottom) in pixels)]). VOC counts
        pixels from 1 with both ends inside; here left and top count from 0 and right and bottom are open.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: broken XML, entities, an unknown class, or a missing element; names file and line.
        ImportError: defusedxml is not installed.
    """
    try:
        from defusedxml import ElementTree
        from defusedxml.common import DefusedXmlException
    except ImportError as error:
        raise ImportError("VOC annotations need defusedxml: pip install 'mlic_hf[data]'.") from error
    text = read_text(path)
    try:
        # declared encodings are ignored for text input, so nothing but UTF-8 comes through
        tree = ElementTree.fromstring(text)
    except DefusedXmlException as error:
        raise ValueError(
            f"{path}, line {_line_of(text, '<!')}: declares XML entities ({type(error).__name__}), which "
            "VOC files never do; refused."
        ) from None
    except (ParseError, ValueError) as error:
        line = error.position[0] if isinstance(error, ParseError) else 1
        raise ValueError(f"{path}, line {line}: not valid XML ({error}); fetch the file again.") from None
    objects = []
    for element in _objects(tree, path):
        name = _text_of(element, "name", path)
        if name not in names:
            raise ValueError(
                f"{path}, line {_line_of(text, f'<name>{name}</name>')}: unknown class {name!r}; expected "
                f"one of the {len(names)} VOC classes."
            )
        difficult = _text_of(element, "difficult", path, "0")
        if difficult not in ("0", "1"):
            raise ValueError(f"{path}: object {name!r} has difficult {difficult!r}; expected 0 or 1.")
        objects.append((name, difficult == "1", _box(_only(element, "bndbox", path), path, name)))
    return _size(tree, path), objects


def _objects(tree: Any, path: Path) -> list[Any]:
    """The objects of an annotation, when all that could be meant as one is where VOC has it."""
    if tree.tag != "annotation":
        raise ValueError(f"{path}: the outermost element is {tree.tag!r}; expected 'annotation' of a VOC file.")
    objects = tree.findall("object")
    for element in tree.iter():
        tag = str(element.tag)
        if tag.startswith("{"):
            raise ValueError(f"{path}: element {tag!r} is in a namespace, which no element of a VOC file is.")
        if (
            tag.strip().lower() in ("object", "objects", "annotation")
            and element is not tree
            and element not in objects
        ):
            raise ValueError(f"{path}: an element {tag!r} is not where VOC files have it; expected annotation/object.")
    return objects


def _only(element: Any, key: str, path: Path) -> Any:
    found = element.findall(key)
    if len(found) > 1:
        raise ValueError(f"{path}: an object has {len(found)} elements {key!r}; expected one.")
    return found[0] if found else None


def _text_of(element: Any, key: str, path: Path, absent: str = "") -> str:
    found = _only(element, key, path)
    return absent if found is None else "".join(found.itertext()).strip(BLANKS)


def _box(element: Any, path: Path, name: str) -> Box:
    try:
        corners = [float(element.findtext(key)) for key in ("xmin", "ymin", "xmax", "ymax")]
    except (AttributeError, TypeError, ValueError):
        corners = []
    if not corners or not all(abs(corner) < 1e9 for corner in corners):
        raise ValueError(f"{path}: object {name!r} has no bndbox of four numbers.")
    left, top, right, bottom = corners
    if right < left or bottom < top:
        raise ValueError(f"{path}: object {name!r} has a bndbox that ends before it begins.")
    return left - 1, top - 1, right, bottom


def _size(tree: Any, path: Path) -> tuple[int, int] | None:
    texts = [(tree.findtext(f"size/{side}") or "0").strip(BLANKS) for side in ("width", "height")]
    if not all(re.fullmatch("[0-9]{1,9}", text) for text in texts):
        raise ValueError(f"{path}: the size is {texts[0]!r} by {texts[1]!r}; expected pixels.")
    width, height = map(int, texts)
    return (width, height) if width and height else None


def _line_of(text: str, part: str) -> int:
    return text.count("\n", 0, max(text.find(part), 0)) + 1
