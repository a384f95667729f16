"""Whether a binary PGM or PPM is whole: as many samples as its header promises, none above its largest value."""

from __future__ import annotations

import os
import re
from typing import BinaryIO

import numpy as np

_BLANK = rb"(?:\s|#[^\r\n]*[\r\n])"
_HEADER = re.compile(rb"P([56])" + 3 * (_BLANK + rb"+(\d{1,10})") + rb"\s")
_LONGEST_HEADER = 1 << 16
_BLOCK = 1 << 20


def check_pnm(file: BinaryIO) -> None:
    """Refuse a binary PGM or PPM that decoders read although its header was damaged.

    Decoders leave surplus samples unread and clip those above the largest value. Source: netpbm's description of
    the formats P5 and P6; a file of several pictures is refused as well.

    Args:
        file: opened at its beginning; another kind of file is well.

    Raises:
        ValueError: more or fewer bytes than promised, or a sample above the largest value.
    """
    head = _HEADER.match(file.read(_LONGEST_HEADER))
    if head is None:
        return
    kind, width, height, largest = map(int, head.groups())
    promised = width * height * (3 if kind == 6 else 1) * (2 if largest > 255 else 1)
    length = file.seek(0, os.SEEK_END) - head.end()
    if length != promised:
        raise ValueError(f"the picture holds {length} bytes of samples, its header promises {promised}")
    if largest in (255, 65535):
        return
    file.seek(head.end())
    while block := file.read(_BLOCK):
        if (np.frombuffer(block, ">u2" if largest > 255 else "u1") > largest).any():
            raise ValueError(f"a sample is larger than the largest value of the header, {largest}")
