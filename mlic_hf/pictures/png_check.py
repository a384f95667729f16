"""Whether a PNG is whole: its checksums, and as many bytes of pixels as its header promises."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
# left, top, and steps to the right and down, of the seven pictures that an interlaced one is stored as
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
WHOLE = ((0, 0, 1, 1),)
_BLOCK = 1 << 20


def check_png(file: BinaryIO) -> None:
    """Refuse a PNG that decoders read although it is damaged, perhaps as another picture.

    Decoders stop when they have as many rows as the header says: they accept surplus data, which a header of
    another size leaves, and a file that ends after the last row. The data are inflated once, block by block,
    and not kept. Source: PNG specification, third edition, sections 5 (chunks), 8 (interlacing), 10 (filtering).

    Args:
        file: opened at its beginning.

    Raises:
        ValueError: no PNG, a wrong checksum, a file that is cut, or more or fewer pixels than promised.
    """
    if file.read(len(SIGNATURE)) != SIGNATURE:
        raise ValueError("it is no PNG")
    inflater, length, promised = zlib.decompressobj(), 0, -1
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
            if kind == b"IHDR" and promised < 0:
                promised = pixel_bytes(block)
            elif kind == b"IDAT":
                length = _inflated(inflater, block, length, promised)
        if file.read(4) != struct.pack(">I", checksum):
            raise ValueError(f"the checksum of the PNG chunk {kind!r} is wrong")
    if length != promised or not inflater.eof:
        raise ValueError(f"the PNG holds {length} bytes of pixels, its header promises {promised}")


def pixel_bytes(header: bytes) -> int:
    """How many bytes the pixels of a PNG have before compression.

    Args:
        header: content of its IHDR chunk.

    Returns:
        One byte a row for its filter, and its pixels, rounded up to whole bytes a row; the sum over the
        passes of an interlaced picture.

    Raises:
        ValueError: no such header.
    """
    if len(header) != 13 or header[9] not in CHANNELS:
        raise ValueError("the header of the PNG is wrong")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    total = 0
    for left, top, right, down in PASSES if interlaced else WHOLE:
        columns, rows = -(-max(width - left, 0) // right), -(-max(height - top, 0) // down)
        total += rows * (1 + (columns * CHANNELS[colour] * depth + 7) // 8) if columns else 0
    return total


def _inflated(inflater: zlib._Decompress, block: bytes, length: int, promised: int) -> int:
    """`length` and what a block inflates to, in steps, so that a small block of a large picture takes no memory."""
    while length <= promised:
        pixels = inflater.decompress(block, _BLOCK)
        length, block = length + len(pixels), inflater.unconsumed_tail
        if len(pixels) < _BLOCK and not block:
            break
    return length
