"""A user's mistake is one sentence, and an error of the operating system keeps its file."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from mlic_hf.cli.errors import explained


def failing(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("one\n  line"), "one line"),
        (PermissionError(errno.EACCES, "Permission denied", "photos/a.jpg"), "Permission denied (photos/a.jpg)"),
        (OSError(errno.EXDEV, "Other disk", b"a", None, "b"), "Other disk (a and b)"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device"),
        (FileNotFoundError("list.txt is missing"), "list.txt is missing"),
    ],
)
def test_one_sentence_with_the_file(error: Exception, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        explained(lambda: failing(error))
    assert capsys.readouterr().err == f"error: {said}\n"


def test_a_real_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        explained(lambda: print((tmp_path / "none.json").read_text()))
    assert capsys.readouterr().err == f"error: No such file or directory ({tmp_path / 'none.json'})\n"


def test_a_stopped_command_and_a_reader_that_has_gone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="130"):
        explained(lambda: failing(KeyboardInterrupt()))
    assert capsys.readouterr().err == "stopped\n"
    monkeypatch.setattr("sys.stdout", sys.stdout)
    with pytest.raises(SystemExit, match="141"):
        explained(lambda: failing(BrokenPipeError()))
    assert sys.stdout.name == os.devnull
    monkeypatch.undo()
    assert capsys.readouterr().err == ""
