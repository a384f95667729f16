"""What errors of others say, in one line."""

from __future__ import annotations

import os


def os_reason(error: OSError) -> str:
    """The reason in words, with the file where the error knows one: "No space left on device (photos/a.jpg)"."""
    if error.errno is None:
        return str(error)
    known = (file for file in (error.filename, error.filename2) if isinstance(file, str | bytes))
    files = " and ".join(map(os.fsdecode, known))
    return (error.strerror or os.strerror(error.errno)) + (f" ({files})" if files else "")


def one_line(error: BaseException) -> str:
    """The words of an error of several lines, as Arrow's are."""
    return " ".join(str(error).split())
