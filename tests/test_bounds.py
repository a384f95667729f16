"""The lowest versions that pyproject.toml declares, and what constraints.txt pins for every Python declared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


def declared() -> list[Requirement]:
    """Every requirement of the project and its extras but the project itself."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = text[text.index("\ndependencies = [") : text.index("[project.scripts]")]
    lines = [line for line in project.splitlines() if not line.lstrip().startswith("#")]
    found = [Requirement(item) for item in re.findall(r'"([^"]+)"', "\n".join(lines))]
    return [requirement for requirement in found if requirement.name != "mlic_hf"]


def pins(python: str) -> dict[str, list[str]]:
    """The versions that hold for a Python on Linux, by name."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            if pin.marker is None or pin.marker.evaluate({"python_version": python}):
                found.setdefault(canonicalize_name(pin.name), []).extend(s.version for s in pin.specifier)
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_has_one_pin_within_its_bounds(python: str) -> None:
    pinned = pins(python)
    assert {name: versions for name, versions in pinned.items() if len(versions) != 1} == {}
    wrong = [
        f"{requirement} with {pinned.get(canonicalize_name(requirement.name))}"
        for requirement in declared()
        if not all(
            requirement.specifier.contains(v) for v in pinned.get(canonicalize_name(requirement.name), ["none"])
        )
    ]
    assert wrong == []


def test_every_dependency_of_a_run_has_a_lowest_version() -> None:
    """`make test-floor` pins what it finds as "name>=version"."""
    without = [str(r) for r in declared() if not any(s.operator == ">=" for s in r.specifier)]
    assert without == ["types-PyYAML"]
