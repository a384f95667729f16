"""Where an annotation's file name lies, and a refusal of names that lead out of the image folder."""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path

IMAGE_NAMES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm")


@lru_cache(maxsize=65536)
def _folder(folder: str) -> tuple[str, str]:
    """Absolute and resolved path of a folder; cached, for there are 100,000 images in a few folders."""
    return os.path.abspath(folder), os.path.realpath(folder)


def without_ending(name: str) -> str:
    """An image's id from its file name.

    Builders call this and not os.path: `datasets` replaces os.path in their modules by functions that take "a//b.jpg"
    for "a/b.jpg", so that ids would depend on whether a builder was made before.
    """
    return os.path.splitext(name)[0]


def image_path(folder: Path, name: str, source: str) -> str:
    """Absolute path of the image that an annotation names.

    The image folder itself may be a link (data often lies on another disk); a name inside an annotation may
    not leave it.

    Args:
        folder: the folder that the names are relative to.
        name: file name as annotated; "/" or "\\" between folders.
        source: annotation file and line, for the error sentence.

    Returns:
        The path as a string; the file may be missing, which `image_check` reports for all files together.

    Raises:
        ValueError: the name is empty, absolute, that of a folder, climbs with "..", or is a link to a file outside
            the folder.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part != "."]
    if not name.strip("./\\ ") or "\0" in name:
        raise ValueError(f"{source}: an image file name is empty; expected a name relative to {folder}.")
    if os.path.isabs(name) or parts[0] == "" or parts[0].endswith(":"):
        raise ValueError(f"{source}: {name!r} is an absolute path; image names must be relative to {folder}.")
    if name.replace("\\", "/").endswith(("/", "/.")):
        raise ValueError(f"{source}: {name!r} is a folder; expected the name of an image file.")
    if ".." in parts:
        raise ValueError(f"{source}: {name!r} points outside {folder}; image names may not contain '..'.")
    root, real_root = _folder(str(folder))
    path = os.path.join(root, *parts)
    real = real_root if len(parts) == 1 else _folder(os.path.dirname(path))[1]
    try:
        if stat.S_ISLNK(os.lstat(path).st_mode):
            real = os.path.realpath(path)
    except OSError:  # a missing file is no link
        pass
    if real != real_root and os.path.commonpath([real_root, real]) != real_root:
        raise ValueError(f"{source}: {name!r} is a link that leads outside {folder}; copy the file into it instead.")
    return path
