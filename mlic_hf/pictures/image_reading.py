"""Opens an image of any kind as 8-bit RGB, and says which one when it cannot."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

from mlic_hf.pictures.png_check import check_png
from mlic_hf.pictures.pnm_check import check_pnm

EXIF_ORIENTATION = 0x0112
CHECKS = {"PNG": check_png, "PPM": check_pnm}
LIMIT_VARIABLE = "MLIC_MAX_IMAGE_PIXELS"
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(source: Any, image_id: str, minimum_size: int | None = None) -> Image.Image:
    """Decode an image to RGB.

    Grey, palette, alpha and CMYK pictures are converted as Pillow does (alpha is dropped, as
    `transformers.image_utils.load_image` drops it at inference); 16-bit ones are scaled to 8 bits; the EXIF
    orientation is applied, and EXIF data that cannot be read are as none. The checksums of a PNG are held
    against its bytes, its size against the length of its data (`check_png`, and `check_pnm`).

    A picture of more pixels than `PIL.Image.MAX_IMAGE_PIXELS` (89,478,485 unless you or the environment variable
    MLIC_MAX_IMAGE_PIXELS say otherwise; None is no limit) is refused by its header, before memory is taken.

    Rule for large JPEGs: with `minimum_size` m, a JPEG is decoded at the smallest of 1, 1/2, 1/4, 1/8 of its
    size at which both sides are still m or more (Pillow's draft mode: libjpeg leaves out the frequencies that
    the smaller picture cannot show). Other formats and smaller pictures are decoded in full.

    Args:
        source: a path, bytes, a Pillow image, or the `{"bytes", "path"}` of an undecoded `datasets.Image`.
        image_id: for the message.
        minimum_size: see above; None decodes in full.

    Returns:
        RGB image, fully loaded, no open file behind it.

    Raises:
        ValueError: the picture is missing, empty, truncated, too large or no image; the message names id and file.
    """
    picture = source if isinstance(source, Image.Image) else _locate(source, image_id)
    try:
        return decode_image(picture, minimum_size)
    except ValueError as error:
        path = source.get("path") if isinstance(source, dict) else picture
        where = f"image {image_id!r}" + (f" ({path})" if isinstance(path, str) else "")
        raise ValueError(f"The {where} {error}; mend or replace the picture, or leave its row out.") from error


def decode_image(source: str | bytes | Image.Image, minimum_size: int | None = None) -> Image.Image:
    """`read_image` of a path, of a file's bytes or of a Pillow image; an error says the reason alone."""
    try:
        if isinstance(source, Image.Image):
            return _decode(source, None)
        if (len(source) if isinstance(source, bytes) else os.path.getsize(source)) == 0:
            raise _Reason("has zero bytes")
        with _opened(source) as image:
            return _decode(image, minimum_size)
    except FileNotFoundError:
        raise ValueError("does not exist") from None
    except Image.DecompressionBombError:
        raise ValueError(f"has more pixels than twice the limit of {Image.MAX_IMAGE_PIXELS}, {_MEND}") from None
    except _Reason:
        raise
    except Exception as error:  # Pillow raises OSError, SyntaxError, struct.error, zlib.error, KeyError, ...
        name = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
        raise ValueError(f"cannot be decoded ({name}{error})") from error


class _Reason(ValueError):
    """A reason of our own, in words that need no more."""


_MEND = f"see read_image; set PIL.Image.MAX_IMAGE_PIXELS or {LIMIT_VARIABLE} where it is meant"


@contextmanager
def _opened(source: str | bytes) -> Iterator[Image.Image]:
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        check_pixels(image)
        if check := CHECKS.get(str(image.format)):  # of what Pillow decodes without a look at it
            with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
                check(file)
        yield image


def check_pixels(image: Image.Image) -> None:
    """Refuse a picture that is too large, by its header.

    Raises:
        ValueError: it has more pixels than `PIL.Image.MAX_IMAGE_PIXELS`.
    """
    width, height = image.size
    if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
        raise _Reason(f"has {width} x {height} pixels, more than the limit of {Image.MAX_IMAGE_PIXELS}, {_MEND}")


def _decode(image: Image.Image, minimum_size: int | None) -> Image.Image:
    check_pixels(image)
    turn = _TURNS.get(_orientation(image))
    if minimum_size is not None:
        image.draft("RGB", (minimum_size, minimum_size))
    rgb = to_rgb(image)
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(EXIF_ORIENTATION)
    except Exception:  # damaged EXIF data say nothing; Pillow raises whatever its parser meets
        return None


def _locate(source: Any, image_id: str) -> str | bytes:
    """The bytes of a source, or its path where it has no bytes."""
    found = source
    if isinstance(source, dict):
        found = source["path"] if source.get("bytes") is None else source["bytes"]
    if isinstance(found, bytes):
        return found
    if isinstance(found, (str, os.PathLike)):
        return os.fspath(found)
    raise ValueError(
        f"The image {image_id!r} is a {type(source).__name__} ({str(source)[:60]}), but a path, bytes, a "
        "Pillow image or a dict with 'bytes' or 'path' was expected."
    )


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB of a picture of any mode; 16-bit values are divided by 257, so that 65535 becomes 255.

    Raises:
        ValueError: floating-point or 32-bit pixels, whose range is not known.
    """
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode == "F":
        raise _Reason("holds floating-point pixels of unknown range; save it as 8 bits")
    if image.mode.startswith("I"):
        levels = np.asarray(image)
        if levels.size and (levels.min() < 0 or levels.max() > 65535):
            raise _Reason("holds 32-bit pixels of unknown range; save it as 8 or 16 bits")
        return Image.fromarray(np.rint(levels.astype(np.float32) / 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBa", "La"):
        image = image.convert("RGBA" if image.mode == "RGBa" else "LA")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return image.convert("RGB")


def limit_from_environment() -> None:
    """Set Pillow's limit to MLIC_MAX_IMAGE_PIXELS, where it is set.

    Raises:
        ValueError: it is no whole number of 1 or more.
    """
    text = os.environ.get(LIMIT_VARIABLE)
    if text is None:
        return
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{LIMIT_VARIABLE} is {text!r}; expected a number of pixels.")
    Image.MAX_IMAGE_PIXELS = int(text)


limit_from_environment()
