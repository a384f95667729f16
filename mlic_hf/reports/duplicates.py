"""Which pictures are the same, or nearly: by a hash of their pixels and by a small grey copy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE = 16  # pixels of the small copy that two pictures are compared by
MOST_BITS = 3  # of 64 by which the hashes of near duplicates may differ; four bands of 16 bits find all of them
MOST_LEVELS = 6.0  # of 255 by which their small copies may differ on average
LEAST_CONTRAST = 6.0  # standard deviation in levels; the hash of a flatter picture says nothing


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a picture to compare it.

    Attributes:
        digest: of size and RGB pixels; equal for equal pictures.
        gradient: 64 bits, whether a cell of a 9 x 8 grey copy is brighter than its left neighbour (dHash, N.
            Krawetz 2013); hardly changed by another size or compression.
        small: (SIDE, SIDE, 3) uint8, a small copy.
    """

    digest: str
    gradient: int
    small: np.ndarray


@dataclass(frozen=True)
class Group:
    """Places of pictures that are the same; `exact` when every pixel of them is."""

    members: tuple[int, ...]
    exact: bool


def fingerprint(image: Image.Image) -> Fingerprint:
    """The fingerprint of an RGB picture."""
    digest = hashlib.blake2b(repr(image.size).encode() + image.tobytes(), digest_size=16).hexdigest()
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    bits = (grey[:, 1:] > grey[:, :-1]).ravel()
    gradient = int.from_bytes(np.packbits(bits).tobytes(), "big")
    return Fingerprint(digest, gradient, np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX)))


def find_duplicates(prints: Sequence[Fingerprint | None]) -> list[Group]:
    """Groups of equal and of nearly equal pictures, in the order of their first members.

    Args:
        prints: one a picture; None where it could not be read.

    Returns:
        Groups of two or more. A picture may join two others, so members of a group that is not exact need not all
        be near each other.
    """
    by_digest: dict[str, list[int]] = {}
    for place, one in enumerate(prints):
        if one is not None:
            by_digest.setdefault(one.digest, []).append(place)
    # one of equal pictures stands for all
    kept = [places[0] for places in by_digest.values()]
    joined = _joined(kept, _near_pairs([(place, one) for place in kept if (one := prints[place]) is not None]))
    groups = []
    for places in joined:
        members = sorted(member for place in places for member in by_digest[_digest(prints[place])])
        if len(members) > 1:
            groups.append(Group(tuple(members), len(places) == 1))
    return sorted(groups, key=lambda group: group.members)


def _digest(one: Fingerprint | None) -> str:
    return "" if one is None else one.digest


def _near_pairs(prints: Sequence[tuple[int, Fingerprint]]) -> Iterator[tuple[int, int]]:
    """Pairs of places whose hashes differ in few bits and whose small copies are alike."""
    prints = [(place, one) for place, one in prints if one.small.std() >= LEAST_CONTRAST]
    hashes = np.array([one.gradient for _, one in prints], np.uint64)
    seen: set[tuple[int, int]] = set()
    for band in range(4):
        keys = (hashes >> np.uint64(16 * band)) & np.uint64(0xFFFF)
        order = np.argsort(keys, kind="stable")
        for bucket in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
            for left in range(len(bucket) - 1):
                others = bucket[left + 1 :]
                bits = np.unpackbits((hashes[others] ^ hashes[bucket[left]]).view(np.uint8).reshape(-1, 8), axis=1)
                for other in others[bits.sum(1) <= MOST_BITS]:
                    pair = (int(bucket[left]), int(other))
                    if pair not in seen:
                        seen.add(pair)
                        if _distance(prints[pair[0]][1], prints[pair[1]][1]) <= MOST_LEVELS:
                            yield prints[pair[0]][0], prints[pair[1]][0]


def _distance(left: Fingerprint, right: Fingerprint) -> float:
    return float(np.abs(left.small.astype(np.int16) - right.small).mean())


def _joined(places: Iterable[int], pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The connected parts of a graph."""
    parent = {place: place for place in places}

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = place = parent[parent[place]]
        return place

    for left, right in pairs:
        parent[root(left)] = root(right)
    parts: dict[int, list[int]] = {}
    for place in parent:
        parts.setdefault(root(place), []).append(place)
    return list(parts.values())
