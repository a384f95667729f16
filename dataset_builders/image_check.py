"""Find bad image files before training does: missing, empty, broken, or of another size than annotated."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from dataset_builders.record import Record

CheckLevel = Literal["stat", "decode"]
_JPEG_NAMES = (".jpg", ".jpeg")


class Finding(NamedTuple):
    """What is the matter with one image file.

    Attributes:
        path: the image file.
        problem: "missing", "empty", "broken", "wrong_size", or the harmless "other_format", "converted".
        sentence: what was found.
        image_id: whose image it is.
    """

    path: str
    problem: str
    sentence: str
    image_id: str = ""

    @property
    def bad(self) -> bool:
        """False for files that load well after all (a PNG named .jpg, a grey or CMYK picture)."""
        return self.problem not in ("other_format", "converted")


def check_image(record: Record, level: CheckLevel = "decode") -> list[Finding]:
    """Look at one image file.

    Args:
        record: whose `path` is looked at; `size` (width, height) is compared where given.
        level: "stat" only asks the file system (missing, zero bytes); "decode" reads every pixel.

    Returns:
        Findings; empty when all is well.
    """

    def finding(problem: str, sentence: str) -> Finding:
        return Finding(record.path, problem, f"{record.path}: {sentence}", record.image_id)

    try:
        size = os.stat(record.path).st_size
    except (OSError, ValueError):
        return [finding("missing", f"missing (named by {record.source or record.image_id})")]
    if size == 0:
        return [finding("empty", "zero bytes")]
    return [] if level == "stat" else _decode(record, finding)


def _decode(record: Record, finding: object) -> list[Finding]:
    from PIL import Image

    found: list[Finding] = []
    make = finding if callable(finding) else Finding
    try:
        with Image.open(record.path) as image:
            file_format, mode, size = image.format, image.mode, image.size
            image.convert("RGB").load()
    except (
        Exception
    ) as error:  # Pillow raises OSError, SyntaxError, struct.error, DecompressionBombError, ...
        return [make("broken", f"cannot be decoded ({type(error).__name__}: {error})")]
    if record.size is not None and size != record.size:
        found.append(make("wrong_size", f"{size[0]}x{size[1]} pixels, the annotation says {record.size}"))
    if record.path.lower().endswith(_JPEG_NAMES) and file_format not in ("JPEG", "MPO"):
        found.append(
            make("other_format", f"is a {file_format} file with a JPEG name; it is read as {file_format}")
        )
    if mode != "RGB":
        found.append(make("converted", f"has colour mode {mode}; it is converted to RGB"))
    return found


def check_images(records: Iterable[Record], level: CheckLevel = "stat") -> list[Finding]:
    """Findings on all records that have a path, in order."""
    return [finding for record in records if record.path for finding in check_image(record, level)]


def raise_for(findings: Sequence[Finding], split: str) -> None:
    """Name all bad files of a split in one error.

    Raises:
        FileNotFoundError: every bad file is missing.
        ValueError: some are broken in another way.
    """
    bad = [finding for finding in findings if finding.bad]
    if not bad:
        return
    text = (
        f"{len(bad)} bad image file(s) in split {split!r}; mend them, or leave them out with on_bad_image='skip':\n"
        + "\n".join(f"  {finding.sentence}" for finding in bad)
    )
    raise FileNotFoundError(text) if all(f.problem == "missing" for f in bad) else ValueError(text)
