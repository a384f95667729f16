from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mlic_hf.pictures.png_check import SIGNATURE, check_png, filter_places
from tests.data.pictures import encoded, picture


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def header(width: int, height: int, depth: int = 8, colour: int = 2, interlaced: int = 0) -> bytes:
    return struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)


def png(head: bytes, *data: bytes) -> bytes:
    return b"".join([SIGNATURE, chunk(b"IHDR", head), *(chunk(b"IDAT", part) for part in data), chunk(b"IEND", b"")])


def check(content: bytes) -> None:
    check_png(io.BytesIO(content))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (8, 8), (33, 2), (300, 400)])
def test_what_pillow_writes_is_whole(mode: str, size: tuple[int, int]) -> None:
    image = Image.fromarray(np.zeros(size[::-1], np.uint16)) if mode == "I;16" else picture(*size).convert(mode)
    check(encoded(image, "PNG"))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (header(3, 2), 2 * (1 + 9)),
        (header(3, 2, 16, 6), 2 * (1 + 24)),
        (header(9, 2, 1, 0), 2 * (1 + 2)),
        (header(3, 2, 4, 3), 2 * (1 + 2)),
        (header(1, 1, 8, 0, 1), 2),  # six of the seven pictures are empty
        (header(8, 8, 8, 0, 1), 2 + 2 + 3 + 6 + 10 + 20 + 36),
        (header(5, 5, 1, 0, 1), 2 + 2 + 2 + 4 + 2 + 6 + 4),
    ],
)
def test_length_of_the_pixels(head: bytes, expected: int) -> None:
    assert filter_places(head)[-1].stop == expected
    data = zlib.compress(bytes(expected))
    check(png(head, data))
    Image.open(io.BytesIO(png(head, data))).load()
    check(png(head, data[:3], b"", data[3:] + b"behind the data"))
    for other in (expected - 1, expected + 1):
        with pytest.raises(ValueError, match=rf"holds {other} bytes of pixels, its header promises {expected}"):
            check(png(head, zlib.compress(bytes(other))))


def test_many_pixels_in_few_bytes() -> None:
    expected = filter_places(header(4000, 3000))[-1].stop
    check(png(header(4000, 3000), zlib.compress(bytes(expected))))
    with pytest.raises(ValueError, match="its header promises"):
        check(png(header(4000, 3000), zlib.compress(bytes(3 * expected))))


@pytest.mark.parametrize("place", range(0, 400, 13))
def test_every_damaged_byte_is_seen(place: int) -> None:
    whole = encoded(picture(12, 9), "PNG")
    damaged = bytearray(whole)
    damaged[place % len(whole)] ^= 1
    for content in (bytes(damaged), whole[: place % len(whole)]):
        with pytest.raises((ValueError, zlib.error)):
            check(content)


@pytest.mark.parametrize("head", [header(31, 1000), header(400, 900, 16, 6), header(301, 211, 1, 0, 1)])
def test_filters_that_do_not_exist(head: bytes) -> None:
    places = filter_places(head)
    rows = [place for part in places for place in part]
    pixels = bytearray(b"\xff" * places[-1].stop)
    for place in rows:
        pixels[place] = place % 5
    check(png(head, zlib.compress(bytes(pixels))))
    for place in (*rows[:3], *rows[-3:], rows[len(rows) // 2]):
        pixels[place] = 5
        with pytest.raises(ValueError, match="a row of the PNG has an unknown filter"):
            check(png(head, zlib.compress(bytes(pixels))))
        pixels[place] = 4


def test_no_header() -> None:
    with pytest.raises(ValueError, match="holds 0 bytes of pixels, its header promises 0"):
        check(SIGNATURE + chunk(b"IEND", b""))
    with pytest.raises(ValueError, match="the header of the PNG is wrong"):
        check(png(header(3, 2, 8, 5)))
    with pytest.raises(ValueError, match="the PNG has no pixels"):
        check(png(header(3, 0)))
    with pytest.raises(ValueError, match="the PNG is cut"):
        check(SIGNATURE + struct.pack(">I4s", 2**31, b"tEXt") + bytes(5))
