"""One meaning a name: what another file uses is defined in one place; errors name settings, not flags."""

from __future__ import annotations

import ast
import importlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted([*(ROOT / "mlic_hf").rglob("*.py"), *(ROOT / "dataset_builders").rglob("*.py")])
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def defined(path: Path) -> Iterator[tuple[str, bool]]:
    """Public names that a file defines at its top, and whether each is a class."""
    for node in TREES[path].body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name, isinstance(node, ast.ClassDef)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((target.id, False) for target in targets if isinstance(target, ast.Name))


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of what a file takes from another of ours."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield from ((module, alias.name) for alias in node.names)


def test_no_two_classes_share_a_name() -> None:
    places = defaultdict(list)
    for path in FILES:
        for name, is_class in defined(path):
            if is_class and not name.startswith("_"):
                places[name].append(str(path.relative_to(ROOT)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


@pytest.mark.parametrize("package", ["mlic_hf", "dataset_builders"])
def test_constants_that_another_file_imports_have_names_of_their_own(package: str) -> None:
    elsewhere = {pair for path in FILES for pair in imported(path)}
    places = defaultdict(list)
    for path in FILES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for name, _ in defined(path):
            if module.startswith(package) and (module, name) in elsewhere and name.isupper() and name != "METHOD":
                places[name].append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


def test_what_the_rooms_offer_has_one_meaning() -> None:
    """A name in the `__all__` of two rooms is the same thing."""
    offered = defaultdict(set)
    for path in (ROOT / "mlic_hf").glob("*/__init__.py"):
        room = importlib.import_module(f"mlic_hf.{path.parent.name}")
        for name in getattr(room, "__all__", ()):
            offered[name].add(id(getattr(room, name)))
    assert len(offered) > 100
    assert [name for name, things in offered.items() if len(things) > 1] == []


@pytest.mark.parametrize("path", [p for p in FILES if "cli" not in p.parts], ids=lambda p: str(p.relative_to(ROOT)))
def test_errors_of_the_library_name_no_flag(path: Path) -> None:
    flags = []
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Raise):
            parts = [text.value for text in ast.walk(node) if isinstance(text, ast.Constant)]
            told = "".join(text for text in parts if isinstance(text, str))
            flags += re.findall(
                r"(?<![\w-])--(?!help)[a-z]\w*", re.sub(r"`hf [^`]*`", "", told)
            )  # a command of the Hub's
    assert flags == []
