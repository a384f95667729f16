"""Find bad image files before training does: missing, empty, broken, or of another size than annotated."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from dataset_builders.record import Record

CheckLevel = Literal["stat", "decode"]
_JPEG_NAMES = (".jpg", ".jpeg")
PLAIN_MODES = ("RGB", "L", "1", "P", "CMYK", "YCbCr", "RGBA", "LA")  # Pillow's own conversion to RGB is right
EXIF_ORIENTATION = 0x0112


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

    return look_at_image(record, level)[0]


def look_at_image(record: Record, level: CheckLevel = "decode") -> tuple[list[Finding], str]:
    """Findings on one image file, and a hash of its pixels.

    Args:
        record: see `check_image`.
        level: see `check_image`.

    Returns:
        (findings, 32 hex digits of size and RGB pixels, "" where nothing was decoded): two files of one
        picture share the digits although their metadata differ.
    """
    digest = ""
    found: list[tuple[str, str]] = []
    try:
        size = os.stat(record.path).st_size
    except (OSError, ValueError):
        found = [("missing", f"missing (named by {record.source or record.image_id})")]
    else:
        if size == 0:
            found = [("empty", "zero bytes")]
        elif level == "decode":
            found, digest = _decode(record)
    findings = [
        Finding(record.path, problem, f"{ascii_path(record.path)}: {what}", record.image_id) for problem, what in found
    ]
    return findings, digest


def ascii_path(path: str) -> str:
    """The path in printable form, also where its bytes are not UTF-8."""
    return path.encode("utf-8", "backslashreplace").decode()


def _decode(record: Record) -> tuple[list[tuple[str, str]], str]:
    from PIL import Image

    from mlic_hf.pictures.image_reading import decode_image

    try:
        rgb = decode_image(record.path)
        with Image.open(record.path) as image:
            file_format, mode, size = image.format, image.mode, image.size
    except (ValueError, OSError) as error:
        return [("broken", str(error))], ""
    digest = _digest(rgb)
    found: list[tuple[str, str]] = []
    if record.size is not None and size != record.size:
        width, height = record.size
        found.append(("wrong_size", f"{size[0]}x{size[1]} pixels, the annotation says {width}x{height}"))
    if record.path.lower().endswith(_JPEG_NAMES) and file_format not in ("JPEG", "MPO"):
        found.append(("other_format", f"a {file_format} file with a JPEG name; it is read as {file_format}"))
    if mode != "RGB":
        found.append(("converted", f"has colour mode {mode}; it is converted to RGB"))
    return found, digest


def _digest(image: Any, rows: int = 256) -> str:
    """32 hex digits of size and pixels, a few rows at a time: a large picture is not held twice."""
    digest = hashlib.blake2b(repr(image.size).encode(), digest_size=16)
    for top in range(0, image.height, rows):
        digest.update(image.crop((0, top, image.width, min(top + rows, image.height))).tobytes())
    return digest.hexdigest()


def shown_picture(path: str) -> str | dict[str, Any]:
    """What stands in the column `image`: the path, or RGB bytes where Pillow alone would show other pixels.

    `row["image"]` and other libraries convert with Pillow, which turns 16-bit pictures white and stops at damaged
    EXIF data. Such a picture is read here as in training and kept as a PNG of 8 bits. One that cannot be read
    stays a path, and an error of `check_images` or of training.
    """
    if _is_plain(path):
        return path
    from mlic_hf.pictures.image_reading import decode_image

    buffer = io.BytesIO()
    try:
        decode_image(path).save(buffer, format="PNG", compress_level=1)
    except (ValueError, OSError):
        return path
    return {"bytes": buffer.getvalue(), "path": None}  # datasets drops bytes beside the path of a file


def _is_plain(path: str) -> bool:
    """Whether Pillow converts a picture, by its header, to the pixels that `decode_image` gives; True if unknown."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            mode = image.mode
            try:
                exif = image.getexif()
                if exif.get(EXIF_ORIENTATION, 1) != 1:
                    exif.tobytes()  # what turning the picture with Pillow writes
            except Exception:
                return False
    except Exception:
        return True
    return mode in PLAIN_MODES


def check_images(records: Iterable[Record], level: CheckLevel = "stat") -> list[Finding]:
    """Findings on all records that have a path, in order."""
    return [finding for record in records if record.path for finding in check_image(record, level)]


def raise_for(findings: Sequence[Finding], split: str, count: int) -> None:
    """Name all bad files of a split in one error.

    Args:
        findings: what `check_images` found.
        split: name of the split.
        count: images in the split; when all are missing, one sentence says so.

    Raises:
        FileNotFoundError: every bad file is missing.
        ValueError: some are broken in another way.
    """
    bad = [finding for finding in findings if finding.bad]
    if not bad:
        return
    missing = all(finding.problem == "missing" for finding in bad)
    if missing and len(bad) == count and count > 1:
        raise FileNotFoundError(
            f"Not one of the {count} images of split {split!r} is there, beginning with {bad[0].sentence}; "
            "check data_dir against the layout in docs/datasets.md."
        )
    text = (
        f"{len(bad)} bad image file(s) in split {split!r}; mend them, or leave them out with "
        "on_bad_image='skip':\n" + "\n".join(f"  {finding.sentence}" for finding in bad)
    )
    raise FileNotFoundError(text) if missing else ValueError(text)
