"""Read annotation text strictly: what is not UTF-8 or not JSON is named with its file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_text(path: Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: some byte is not UTF-8; names file, line and byte.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; check data_dir against the layout in docs/datasets.md.")
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8 (and "
            "rename image files whose names are in another encoding)."
        ) from None


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 file without line ends and trailing blanks; empty lines at the end are dropped."""
    lines = [line.rstrip() for line in read_text(path).replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        ValueError: the file is cut or malformed; names file, line and column.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        end = (
            " (the file ends there: it was probably cut while copying)" if error.pos >= len(text.rstrip()) - 1 else ""
        )
        raise ValueError(
            f"{path}, line {error.lineno}, column {error.colno}: not valid JSON, {error.msg}{end}; "
            "fetch or write the file again."
        ) from None
