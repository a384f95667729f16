"""The code blocks of the documentation, for the tests that run them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


class Block(NamedTuple):
    """A fenced block: its page, the line of its fence, what the fence says, and what is inside."""

    page: Path
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page in their order; those of some languages, or all."""
    found, opened = [], None
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.lstrip().startswith("```"):
            continue
        if opened is None:
            opened = number
            continue
        code = "\n".join(lines[opened : number - 1]) + "\n"
        found.append(Block(page, opened, lines[opened - 1].strip().removeprefix("```"), code))
        opened = None
    assert opened is None, f"{page}: the block of line {opened} has no end"
    return [block for block in found if not languages or block.language in languages]


def measured(page: Path) -> list[Block]:
    """The indented commands of a page, which say how a figure was made; each run of lines is a block."""
    found: list[Block] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        command = line.startswith(("    mlic ", "    accelerate ", "    make ", "    python -m "))
        goes_on = found and found[-1].line + found[-1].code.count("\n") == number
        if goes_on and line.startswith("    "):
            found[-1] = found[-1]._replace(code=f"{found[-1].code}{line[4:]}\n")
        elif command:
            found.append(Block(page, number, "bash", f"{line[4:]}\n"))
    return found


def commands(block: Block) -> list[list[str]]:
    """The commands of a shell block as words, without comments; variables set in front of them are words, too.

    A command that ends in "..." is told elsewhere in full and left out.
    """
    lines = block.code.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True)) and words[-1] != "..."]
