"""One case of a damaged picture: the check, training, the row and another reader must agree."""

from __future__ import annotations

import io
import random
import struct
import warnings
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from benchmarks.fuzz.mutations import cut, drop, flip, insert, repeat
from benchmarks.fuzz.strict_json import Strict
from benchmarks.fuzz.strict_pictures import read_by_opencv, read_png, read_pnm

SIZE = (24, 16)


class Kind(NamedTuple):
    """A kind of picture: its ending, the other reader, and by how many levels the two may differ at most."""

    name: str
    content: bytes
    read: Callable[[bytes], np.ndarray]
    tolerance: int = 0


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def kinds() -> tuple[Kind, ...]:
    """One picture of every kind."""
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    rgb = Image.fromarray(np.stack([x * 10, y * 15, (x * y) % 256], 2).astype(np.uint8))
    grey16 = Image.fromarray((x * 2700 + y * 100).astype(np.uint16))
    return (
        Kind("rgb.png", _saved(rgb, "PNG"), read_png),
        Kind("stored.png", _saved(rgb, "PNG", compress_level=0), read_png),
        Kind("alpha.png", _saved(rgb.convert("RGBA"), "PNG"), read_png),
        Kind("grey.png", _saved(rgb.convert("L"), "PNG"), read_png),
        Kind("grey16.png", _saved(grey16, "PNG"), read_png),
        Kind("palette.png", _saved(rgb.quantize(256), "PNG"), read_png),
        Kind("bits.png", _saved(rgb.convert("1"), "PNG"), read_png),
        Kind("rgb.ppm", _saved(rgb, "PPM"), read_pnm),
        Kind("grey.pgm", _saved(rgb.convert("L"), "PPM"), read_pnm),
        Kind("rgb.jpg", _saved(rgb, "JPEG", quality=90), read_by_opencv, 3),
        Kind("grey.jpg", _saved(rgb.convert("L"), "JPEG"), read_by_opencv, 3),
        Kind("progressive.jpg", _saved(rgb, "JPEG", progressive=True), read_by_opencv, 3),
        Kind("rgb.bmp", _saved(rgb, "BMP"), read_by_opencv),
        Kind("rgb.webp", _saved(rgb, "WEBP", lossless=True), read_by_opencv),
    )


def run(root: Path, rng: random.Random) -> tuple[str, str]:
    """The class of one case and a word on it; see `annotation_cases.run`."""
    kind = rng.choice(kinds())
    content = kind.content
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        content = _damage(content, rng) or b""
        if not content:
            break
    root.mkdir(parents=True, exist_ok=True)
    path = root / kind.name
    path.write_bytes(content)
    judged, word = judge(path, content, kind)
    path.unlink()
    return judged, f"{kind.name}: {word}"


def _damage(content: bytes, rng: random.Random) -> bytes:
    choice = rng.randrange(8)
    if choice < 5:
        return (flip, flip, cut, drop, insert)[choice](content, rng)
    if choice == 5:
        return repeat(content, rng)
    if choice == 6 and content.startswith(b"\x89PNG"):
        return _other_size(content, rng)
    if choice == 7 and content.startswith(b"\xff\xd8"):
        exif = b"Exif\0\0" + rng.choice((b"MM\0*", b"II*\0", b"rubbish")) + rng.randbytes(rng.randrange(40))
        return content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:]
    return content + rng.randbytes(rng.randint(1, 30))


def _other_size(content: bytes, rng: random.Random) -> bytes:
    """A PNG header that promises another size, with the right checksum."""
    sides = [rng.choice((0, 1, 15, 25, 9_000, 13_300, 60_000, 2**31 - 1)) for _ in range(2)]
    head = b"IHDR" + struct.pack(">II", *sides) + content[24:29]
    return content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:]


def judge(path: Path, content: bytes, kind: Kind) -> tuple[str, str]:
    """Read a picture in all ways; what `annotation_cases.judge` returns."""
    from dataset_builders.image_check import check_image
    from dataset_builders.record import Record
    from mlic_hf.data import read_image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            findings = check_image(Record("it", str(path)))
        except Exception as error:
            return "foreign", f"the check raises {type(error).__name__}: {error}"
        bad = [finding.sentence for finding in findings if finding.bad]
        try:
            image = np.asarray(read_image(str(path), "it"))
        except ValueError as error:
            if not bad or str(path) not in str(error):
                return "silently wrong", f"the check accepts what training refuses, or the file is not named: {error}"
            return ("error", bad[0]) if len(bad) == 1 and str(path) in bad[0] else ("foreign", str(bad))
        except Exception as error:
            return "foreign", f"training raises {type(error).__name__}: {error}"
        if bad:
            return "silently wrong", f"the check refuses what training reads: {bad}"
        return _compare(path, content, kind, image)


def _compare(path: Path, content: bytes, kind: Kind, image: np.ndarray) -> tuple[str, str]:
    from mlic_hf.pictures.image_reading import EXIF_ORIENTATION

    try:
        shown = np.asarray(_shown(str(path)))
    except Exception as error:
        return "silently wrong", f"the row raises {type(error).__name__}: {error}"
    if not np.array_equal(shown, image):
        return "silently wrong", "the row shows other pixels than training reads"
    try:
        told = kind.read(content)
    except Strict as error:
        return "silently wrong", f"read, but the other reader says: {error}"
    with Image.open(path) as opened:
        try:
            turned = opened.getexif().get(EXIF_ORIENTATION, 1) in range(2, 9)
        except Exception:
            turned = False
    if turned:  # orientations have tests of their own; here it is enough that the pixels are the same ones
        image, told = np.sort(image, axis=None), np.sort(told, axis=None)
    if image.shape != told.shape or np.abs(image.astype(int) - told.astype(int)).max() > kind.tolerance:
        return "silently wrong", "other pixels than the other reader's"
    return "right", ""


def _shown(path: str) -> Image.Image:
    """`row["image"]`, as a data set that is loaded gives it."""
    import datasets

    from dataset_builders.image_check import shown_picture

    feature = datasets.Image(mode="RGB")
    return feature.decode_example(feature.encode_example(shown_picture(path)))
