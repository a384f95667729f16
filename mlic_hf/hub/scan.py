"""A look at every file that is about to be published: what it says that should stay at home."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlic_hf.hub.privacy import is_secret_entry, secrets_in


@dataclass(frozen=True)
class Leak:
    """Something that should not be published.

    Args:
        file: the name of the file.
        place: the line, the key ("settings.hub_token"), or the byte.
        what: what it is, never the thing itself.
    """

    file: str
    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}, {self.place}: {self.what}"


def scan(files: Mapping[str, Path]) -> list[Leak]:
    """Secrets and home folders in files: in the values and names of JSON, in lines of text, in a safetensors file's
    header, in the bytes of any other file.

    Args:
        files: name -> file.

    Returns:
        what was found, in the order of the files.
    """
    return [
        Leak(name, place, what)
        for name, path in files.items()
        for place, what in dict.fromkeys(found_in(path))
    ]  # fmt: skip


def refuse_private(files: Mapping[str, Path]) -> None:
    """Refuse to publish files that hold secrets or private paths.

    Raises:
        ValueError: naming every file and place.
    """
    if found := scan(files):
        raise ValueError(
            f"Nothing was sent, because {len(found)} things should not be published: "
            f"{'; '.join(map(str, found))}. Take them out of the files, and revoke a secret that others may have seen."
        )


def found_in(path: Path) -> Iterator[tuple[str, str]]:
    """Place and kind of what a file should not say."""
    if path.suffix == ".safetensors":
        yield from found_in_json(json.loads(read_header(path)))
        return
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        text = path.read_bytes().decode("ascii", errors="replace")  # one character a byte
        yield from ((f"byte {position}", what) for position, what in secrets_in(text))
        return
    if path.suffix == ".json":
        try:
            yield from found_in_json(json.loads(text))
            return
        except json.JSONDecodeError:
            pass  # what is no JSON is still text
    yield from ((f"line {text.count(chr(10), 0, position) + 1}", what) for position, what in secrets_in(text))


def read_header(path: Path) -> bytes:
    """The JSON in front of a safetensors file's numbers: names, shapes, metadata."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > path.stat().st_size:
            raise ValueError(f"{path} is no safetensors file: its header would be {size} bytes long.")
        return file.read(size)


def found_in_json(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Place, as the keys on the way joined by dots, and kind of what a JSON value should not hold."""
    entries: list[tuple[Any, Any]] = []
    if isinstance(value, str):
        yield from ((place or "the whole", what) for _, what in secrets_in(value))
    elif isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
    for name, inner in entries:
        inside = f"{place}.{name}" if place else str(name)
        if is_secret_entry(name, inner):
            yield inside, "a secret, by its name"
            continue
        yield from ((inside, what) for _, what in secrets_in(str(name)))
        yield from found_in_json(inner, inside)
