"""Damage to bytes, lines and JSON values, drawn from one random generator."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 7, 1.0, 0.5, 1e400, 10**30, "", " ", "x", "dog", "\ud800", "é", "a\0b", "../a.jpg"),
    *("/etc/hosts", "a" * 300, [], {}, [[]], ["dog"], [1], {"id": 1}, [None], "1", "NaN"),
)
BITS = (b"\0", b"\r", b"\n", b"\r\n", b"\xff", b"\xc3\xa9", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xc2\xa0", b"\x1c")
BITS += (b" ", b"\t", b",", b'"', b"0", b"1", b"-1", b"2", b"..", b"/", b"[" * 3000, b"{", b"<!-- -->", b"&amp;")
BITS += (b"9" * 5000, b"\\", b"|", b"<object>", b"dog")


def flip(content: bytes, rng: random.Random) -> bytes:
    """One bit of one byte."""
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ (1 << rng.randrange(8))]) + content[place + 1 :]


def cut(content: bytes, rng: random.Random) -> bytes:
    """The beginning alone."""
    return content[: rng.randrange(len(content))]


def drop(content: bytes, rng: random.Random) -> bytes:
    """A few bytes less."""
    place = rng.randrange(len(content))
    return content[:place] + content[place + rng.randint(1, 8) :]


def insert(content: bytes, rng: random.Random) -> bytes:
    """Something odd in between."""
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(BITS) + content[place:]


def repeat(content: bytes, rng: random.Random) -> bytes:
    """A part twice."""
    place = rng.randrange(len(content))
    end = place + rng.randint(1, 60)
    return content[:end] + content[place:end] + content[end:]


def lines(content: bytes, rng: random.Random) -> bytes:
    """Lines dropped, doubled, swapped, joined, or ended by something else."""
    rows = content.split(b"\n")
    one, two = rng.randrange(len(rows)), rng.randrange(len(rows))
    kind = rng.randrange(6)
    if kind == 0:
        del rows[one]
    elif kind == 1:
        rows.insert(two, rows[one])
    elif kind == 2:
        rows[one], rows[two] = rows[two], rows[one]
    elif kind == 3:
        rows[one : one + 2] = [b" ".join(rows[one : one + 2])]
    elif kind == 4:
        return rng.choice((b"\r", b"\r\n", b"\n\n", b"\x0b")).join(rows)
    else:
        rows[one] += rng.choice((b" ", b" x", b"\t1", b" 1", b"#", b"\0"))
    return b"\n".join(rows)


def words(content: bytes, rng: random.Random) -> bytes:
    """A word in the place of another, or in other letters."""
    found = list(re.finditer(rb"[\w.-]+", content))
    if not found:
        return insert(content, rng)
    one, two = rng.choice(found), rng.choice(found)
    other = rng.choice((two[0], one[0].upper(), one[0].capitalize(), b"", b"yes", b"true", b"nan", b"inf", b"1e3"))
    return content[: one.start()] + other + content[one.end() :]


def nothing(content: bytes, rng: random.Random) -> bytes:
    """An empty file."""
    return b""


ANY: tuple[Callable[[bytes, random.Random], bytes], ...] = (flip, cut, drop, insert, repeat, lines, words)


def damage(name: str, content: bytes, rng: random.Random) -> bytes:
    """One to three mutations of a file, at random of its bytes, lines and words, or of its JSON values."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not content:
            break
        if name.endswith((".json", ".jsonl")) and rng.random() < 0.5:
            content = values(name, content, rng)
        else:
            content = rng.choice((*ANY, *ANY, *ANY, *ANY, nothing))(content, rng)
    return content


def values(name: str, content: bytes, rng: random.Random) -> bytes:
    """Another value, key or length somewhere in a JSON file, or in a line of one."""
    rows = content.split(b"\n") if name.endswith(".jsonl") else [content]
    place = rng.randrange(len(rows))
    try:
        tree = json.loads(rows[place])
    except (ValueError, RecursionError):
        return insert(content, rng)
    holders = [found for found in _holders(tree) if found]
    if not holders:
        return insert(content, rng)
    holder = rng.choice(holders)
    key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    kind = rng.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[rng.choice((f"{key} ", str(key).upper(), "labels", "id"))] = holder.pop(key)
    elif kind == 2 and isinstance(holder, list):
        holder.append(holder[key])
    elif kind == 3:
        other = rng.choice(holders)
        holder[key] = other[rng.choice(list(other) if isinstance(other, dict) else range(len(other)))]
    else:
        holder[key] = rng.choice(VALUES)
    try:
        rows[place] = json.dumps(tree).encode()
    except (ValueError, RecursionError):  # a value was put into itself
        return insert(content, rng)
    if rng.random() < 0.1 and b'"' in rows[place]:
        rows[place] = re.sub(rb'("[^"]*": )', rb'\1"x", \1', rows[place], count=1)  # a key twice
    return b"\n".join(rows)


def _holders(tree: Any) -> list[Any]:
    if not isinstance(tree, (dict, list)):
        return []
    parts = tree.values() if isinstance(tree, dict) else tree
    return [tree, *(holder for part in parts for holder in _holders(part))]
