"""Whether a PNG is whole: its checksums, as many bytes of pixels as its header promises, and filters that exist."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
# left, top, and steps to the right and down, of the seven pictures that an interlaced one is stored as
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
WHOLE = ((0, 0, 1, 1),)
LAST_FILTER = 4
_BLOCK = 1 << 20


def check_png(file: BinaryIO) -> None:
    """Refuse a PNG that decoders read although it is damaged, perhaps as another picture.

    Decoders stop when they have as many rows as the header says: they accept surplus data, which a header of
    another size leaves, and a file that ends after the last row. Pillow reads rows of unknown filters, which
    another shape of as many bytes leaves. The data are inflated once, block by block, and not kept.

    Source: PNG specification, third edition, sections 5 (chunks), 8 (interlacing), 9 (filters), 10 (compression).

    Args:
        file: opened at its beginning.

    Raises:
        ValueError: no PNG, a wrong checksum, a file that is cut, more or fewer pixels than promised, or an
            unknown filter.
    """
    if file.read(len(SIGNATURE)) != SIGNATURE:
        raise ValueError("it is no PNG")
    inflater, length, filters = zlib.decompressobj(), 0, [range(0)]
    kind = b""
    while kind != b"IEND":
        head = file.read(8)
        if len(head) < 8:
            raise ValueError("the PNG is cut")
        left, kind = struct.unpack(">I4s", head)
        checksum = zlib.crc32(kind)
        while left:
            block = file.read(min(left, _BLOCK))
            if not block:
                raise ValueError("the PNG is cut")
            left -= len(block)
            checksum = zlib.crc32(block, checksum)
            if kind == b"IHDR":
                filters = filter_places(block)
            elif kind == b"IDAT":
                length = _inflated(inflater, block, length, filters)
        if file.read(4) != struct.pack(">I", checksum):
            raise ValueError(f"the checksum of the PNG chunk {kind!r} is wrong")
    if length != filters[-1].stop or not inflater.eof:
        raise ValueError(f"the PNG holds {length} bytes of pixels, its header promises {filters[-1].stop}")


def filter_places(header: bytes) -> list[range]:
    """Where in the pixels of a PNG, before compression, the rows begin, each with the byte of its filter.

    Args:
        header: content of its IHDR chunk.

    Returns:
        A range of places for the picture, or for each pass of an interlaced one that has pixels; `stop` of the
        last is the length of all.

    Raises:
        ValueError: no such header, or no pixels.
    """
    if len(header) != 13 or header[9] not in CHANNELS:
        raise ValueError("the header of the PNG is wrong")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    places: list[range] = []
    at = 0
    for left, top, right, down in PASSES if interlaced else WHOLE:
        columns, rows = -(-max(width - left, 0) // right), -(-max(height - top, 0) // down)
        if columns and rows:
            stride = 1 + (columns * CHANNELS[colour] * depth + 7) // 8
            places.append(range(at, at := at + rows * stride, stride))
    if not places:
        raise ValueError("the PNG has no pixels")
    return places


def _inflated(inflater: zlib._Decompress, block: bytes, length: int, filters: list[range]) -> int:
    """`length` and what a block inflates to, in steps, so that a small block of a large picture takes no memory."""
    while length <= filters[-1].stop:
        pixels = inflater.decompress(block, _BLOCK)
        for rows in filters:
            first = max(rows.start, length + (rows.start - length) % rows.step)  # of the filters in these pixels
            if max(pixels[first - length : max(rows.stop - length, 0) : rows.step], default=0) > LAST_FILTER:
                raise ValueError("a row of the PNG has an unknown filter")
        length, block = length + len(pixels), inflater.unconsumed_tail
        if len(pixels) < _BLOCK and not block:
            break
    return length
