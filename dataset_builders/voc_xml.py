"""Read one VOC annotation file; entity tricks are refused (defusedxml)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from dataset_builders.text_file import read_text

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
    for element in tree.iter("object"):
        name = (element.findtext("name") or "").strip()
        if name not in names:
            raise ValueError(
                f"{path}, line {_line_of(text, f'<name>{name}</name>')}: unknown class {name!r}; expected "
                f"one of the {len(names)} VOC classes."
            )
        difficult = (element.findtext("difficult") or "0").strip() == "1"
        objects.append((name, difficult, _box(element.find("bndbox"), path, name)))
    return _size(tree), objects


def _box(element: Any, path: Path, name: str) -> Box:
    try:
        left, top, right, bottom = (float(element.findtext(key)) for key in ("xmin", "ymin", "xmax", "ymax"))
    except (AttributeError, TypeError, ValueError):
        raise ValueError(f"{path}: object {name!r} has no bndbox of four numbers.") from None
    return left - 1, top - 1, right, bottom


def _size(tree: Any) -> tuple[int, int] | None:
    width, height = tree.findtext("size/width"), tree.findtext("size/height")
    return (int(width), int(height)) if width and height and int(width) and int(height) else None


def _line_of(text: str, part: str) -> int:
    return text.count("\n", 0, max(text.find(part), 0)) + 1
