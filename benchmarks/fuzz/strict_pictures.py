"""Other readers of pictures: PNG and PNM by hand, JPEG, BMP and WebP by OpenCV."""

from __future__ import annotations

import os
import re
import struct
import zlib

import numpy as np

from benchmarks.fuzz.strict_json import Strict

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def read_png(raw: bytes) -> np.ndarray:
    """(H, W, 3) uint8 of a PNG that is not interlaced; every checksum must agree, alpha is dropped."""
    if raw[:8] != b"\x89PNG\r\n\x1a\n":
        raise Strict("no PNG")
    chunks: list[tuple[bytes, bytes]] = []
    at = 8
    while not chunks or chunks[-1][0] != b"IEND":
        if at + 12 > len(raw):
            raise Strict("cut")
        (length,), kind = struct.unpack(">I", raw[at : at + 4]), raw[at + 4 : at + 8]
        content = raw[at + 8 : at + 8 + length]
        if raw[at + 8 + length : at + 12 + length] != struct.pack(">I", zlib.crc32(kind + content)):
            raise Strict("a checksum")
        chunks.append((kind, content))
        at += 12 + length
    parts = dict(chunks)
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    if colour not in CHANNELS or rest != [0, 0, 0] or depth not in (1, 8, 16) or width * height > 10**7:
        raise Strict("a kind of PNG")
    bits = CHANNELS[colour] * depth
    stride, step = (width * bits + 7) // 8, max(1, bits // 8)
    try:
        data = zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT"))
    except zlib.error as error:
        raise Strict(str(error)) from None
    if len(data) != height * (stride + 1):
        raise Strict("a length")
    rows = np.zeros((height, stride), np.uint8)
    before = [0] * stride
    for y in range(height):
        line = list(data[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        before = _unfilter(data[y * (stride + 1)], line, before, step)
        rows[y] = before
    return _png_colours(rows, width, depth, colour, parts)


def _unfilter(kind: int, line: list[int], before: list[int], step: int) -> list[int]:
    for x in range(len(line)):
        left = line[x - step] if x >= step else 0
        corner = before[x - step] if x >= step else 0
        guess = left + before[x] - corner
        nearest = min((abs(guess - v), place) for place, v in enumerate((left, before[x], corner)))[1]
        added = (0, left, before[x], (left + before[x]) // 2, (left, before[x], corner)[nearest])
        if kind >= len(added):
            raise Strict("a filter")
        line[x] = (line[x] + added[kind]) & 255
    return line


def _png_colours(rows: np.ndarray, width: int, depth: int, colour: int, parts: dict[bytes, bytes]) -> np.ndarray:
    if depth == 1:
        pixels = np.unpackbits(rows, axis=1)[:, :width, None] * (1 if colour == 3 else 255)
    elif depth == 16:
        wide = rows.reshape(len(rows), width, -1, 2).astype(int)
        # one channel is scaled, several keep their upper byte, as Pillow has it
        pixels = np.rint((wide[..., 0] * 256 + wide[..., 1]) / 257) if colour == 0 else wide[..., 0]
    else:
        pixels = rows.reshape(len(rows), width, -1)
    if colour == 3:
        palette = np.frombuffer(parts.get(b"PLTE", b""), np.uint8)
        if len(palette) % 3 or pixels.max() >= len(palette) // 3:
            raise Strict("a palette")
        return palette.reshape(-1, 3)[pixels[..., 0]]
    return np.repeat(pixels[..., :1], 3, 2).astype(np.uint8) if colour in (0, 4) else pixels[..., :3].astype(np.uint8)


def read_pnm(raw: bytes) -> np.ndarray:
    """(H, W, 3) uint8 of a binary PGM or PPM."""
    head = re.match(rb"P([56])\s+(\d{1,5})\s+(\d{1,5})\s+(\d{1,5})\s", raw)
    if head is None:
        raise Strict("a header")
    kind, width, height, most = (int(part) for part in head.groups())
    size, channels = (1 if most < 256 else 2), (1 if kind == 5 else 3)
    if not 0 < most < 65536 or not width * height or width * height > 10**7:
        raise Strict("a header")
    data = raw[head.end() :]
    if len(data) != width * height * channels * size:
        raise Strict("a length")
    levels = np.frombuffer(data, f">u{size}").reshape(height, width, channels).astype(float)
    if (levels > most).any():
        raise Strict("a sample")
    pixels = np.rint(levels / most * 255).astype(np.uint8)
    return np.repeat(pixels, 3, 2) if channels == 1 else pixels


def read_by_opencv(raw: bytes) -> np.ndarray:
    """(H, W, 3) uint8 as OpenCV decodes it, not turned."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    import cv2

    pixels = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise Strict("OpenCV cannot decode it")
    return pixels[..., ::-1]
