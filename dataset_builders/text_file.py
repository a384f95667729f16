"""Read annotation text strictly: what is not UTF-8 or not JSON is named with its file and line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LARGEST = 1 << 30  # bytes; the largest annotation file of the data sets here, COCO's training boxes, has 0.47e9
_BLOCK = 1 << 20
BLANKS = " \t\r\n"  # what may stand around a value; of other characters, however blank, names can be made
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_text(path: Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is larger than `LARGEST`, or some byte is a control character or not UTF-8; names file,
            line and byte.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; check data_dir against the layout in docs/datasets.md.")
    raw = _read(path)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8 (and "
            "rename image files whose names are in another encoding)."
        ) from None


def _read(path: Path) -> bytes:
    """The bytes of a file, block by block, so that a file of holes is refused at its first one."""
    blocks: list[bytes] = []
    size = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if odd := _CONTROL.search(block):
                line = b"".join([*blocks, block[: odd.start()]]).count(b"\n") + 1
                what = "a zero byte" if odd[0] == b"\0" else f"the control character 0x{odd[0].hex()}"
                raise ValueError(
                    f"{path}, line {line}: {what}, which no text has; the file was probably cut while "
                    "copying (or is UTF-16). Fetch it again, or save it as UTF-8."
                )
            size += len(block)
            if size > LARGEST:
                raise ValueError(f"{path} is larger than {LARGEST} bytes, which no annotation file is; give another.")
            blocks.append(block)
    return b"".join(blocks)


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 file without trailing blanks, whatever ends them (LF, CR LF, CR); no empty lines at the end."""
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    lines = [line.rstrip(BLANKS) for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def words(line: str) -> list[str]:
    """The parts of a line between spaces and tabs."""
    return [word for word in re.split("[ \t]+", line) if word]


def read_json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """File and line, and the value, of every line that is not empty; see `parse_json`."""
    for number, line in enumerate(read_lines(path), 1):
        if line:
            yield f"{path}, line {number}", parse_json(line, path, number)


def read_json(path: Path) -> Any:
    """The value of a JSON file; see `parse_json`."""
    return parse_json(read_text(path), path)


def parse_json(text: str, path: Path, line: int | None = None) -> Any:
    """The value of a JSON text, read strictly: a repeated key, NaN or half a character is an error as well.

    Args:
        text: the text.
        path: its file, for the error sentence.
        line: its line in the file; None where it is the whole file.

    Raises:
        ValueError: the text is cut or malformed; names file and line.
    """
    where = str(path) if line is None else f"{path}, line {line}"
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        cut = " (the file ends there: it was probably cut while copying)"
        raise ValueError(
            f"{path}, line {(line or 1) + error.lineno - 1}, column {error.colno}: not valid JSON, {error.msg}"
            f"{cut if error.pos >= len(text.rstrip()) - 1 else ''}; fetch or write the file again."
        ) from None
    except RecursionError:
        raise ValueError(
            f"{where}: not valid annotations, brackets are nested too deep; fetch the file again."
        ) from None
    except UnicodeEncodeError:
        raise ValueError(f"{where}: not valid JSON, half a character (\\ud8.. alone); write the file again.") from None
    except ValueError as error:  # of the two hooks, or a number of thousands of digits
        raise ValueError(f"{where}: not valid JSON, {error}; fetch or write the file again.") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice in one object")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")
