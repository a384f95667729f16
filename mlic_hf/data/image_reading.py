"""Opens an image of any kind as 8-bit RGB, and says which one when it cannot."""

from __future__ import annotations

import io
import os
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageOps

EXIF_ORIENTATION = 0x0112


def read_image(source: Any, image_id: str, minimum_size: int | None = None) -> Image.Image:
    """Decode an image to RGB.

    Grey, palette, alpha and CMYK pictures are converted as Pillow does (alpha is dropped, as
    `transformers.image_utils.load_image` drops it at inference); 16-bit ones are scaled to 8 bits; the EXIF
    orientation is applied.

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
        ValueError: the picture is missing, empty, truncated or no image; the message names id and file.
    """
    if isinstance(source, Image.Image):
        return to_rgb(source, image_id)
    path, content = _locate(source, image_id)
    where = f"image {image_id!r}" + (f" ({path})" if path else "")
    if content is not None and not content:
        raise ValueError(f"The {where} has zero bytes; put the picture back or leave its row out.")
    try:
        if content is None and path and os.path.getsize(path) == 0:
            raise ValueError(f"The {where} has zero bytes; put the picture back or leave its row out.")
        with Image.open(io.BytesIO(content) if content is not None else str(path)) as opened:
            if minimum_size is not None:
                opened.draft("RGB", (minimum_size, minimum_size))
            turned = opened.getexif().get(EXIF_ORIENTATION, 1) != 1
            return to_rgb(ImageOps.exif_transpose(opened) if turned else opened, image_id)
    except FileNotFoundError:
        raise ValueError(f"The {where} does not exist; check the data folder, or leave its row out.") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"The {where} cannot be decoded: {error}. A whole JPEG, PNG or other picture was expected; "
            "replace the file, or leave its row out."
        ) from error


def _locate(source: Any, image_id: str) -> tuple[str | None, bytes | None]:
    """The path and the bytes of a source, one of them possibly None."""
    if isinstance(source, dict):
        path, content = source.get("path"), source.get("bytes")
        if path is not None or content is not None:
            return path, content
    elif isinstance(source, bytes):
        return None, source
    elif isinstance(source, (str, os.PathLike)):
        return os.fspath(source), None
    raise ValueError(
        f"The image {image_id!r} is a {type(source).__name__} ({str(source)[:60]}), but a path, bytes, a "
        "Pillow image or a dict with 'bytes' or 'path' was expected."
    )


def to_rgb(image: Image.Image, image_id: str = "") -> Image.Image:
    """8-bit RGB of a picture of any mode; 16-bit values are divided by 257, so that 65535 becomes 255.

    Raises:
        ValueError: floating-point pictures, whose range is not known.
    """
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode == "F":
        raise ValueError(f"The image {image_id!r} holds floating-point pixels of unknown range; save it as 8 bits.")
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.float64) / 257
        return Image.fromarray(np.rint(levels).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return image.convert("RGB")
