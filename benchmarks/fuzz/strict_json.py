"""A JSON reader of its own: no repeated keys, no NaN, no lone surrogates, no deep nesting."""

from __future__ import annotations

import re
from typing import Any

TOKEN = re.compile(
    r"[ \t\r\n]*(?:(?P<mark>[\[\]{}:,])|(?P<word>true|false|null)"
    r"|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r'|"(?P<string>(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)")'
)
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
WORDS = {"true": True, "false": False, "null": None}
DEEPEST = 40


class Strict(Exception):
    """What a strict reader refuses."""


def text_of(raw: bytes) -> str:
    """UTF-8 without zero bytes; a byte order mark may stand first."""
    if b"\0" in raw:
        raise Strict("a zero byte")
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Strict(str(error)) from None


def parse(text: str) -> Any:
    """The value of a JSON text."""
    tokens = []
    place = 0
    end = len(text.rstrip(" \t\r\n"))
    while place < end:
        match = TOKEN.match(text, place)
        if match is None or match.end() == place:
            raise Strict(f"no JSON at {place}")
        tokens.append(match)
        place = match.end()
    value, rest = _value(tokens, 0, 0)
    if rest != len(tokens):
        raise Strict("more than one value")
    return value


def _value(tokens: list[re.Match[str]], at: int, depth: int) -> tuple[Any, int]:
    if at >= len(tokens) or depth > DEEPEST:
        raise Strict("cut, or too deep")
    token = tokens[at]
    kind = token.lastgroup
    if kind == "word":
        return WORDS[token["word"]], at + 1
    if kind == "string":
        return _string(token["string"]), at + 1
    if kind == "number":
        number = token["number"]
        if len(number) > 4000:
            raise Strict("a long number")
        return (int(number) if number.lstrip("-").isdigit() else float(number)), at + 1
    if token["mark"] not in "[{":
        raise Strict("a mark")
    return _items(tokens, at + 1, depth + 1, token["mark"] == "{")


def _items(tokens: list[re.Match[str]], at: int, depth: int, keyed: bool) -> tuple[Any, int]:
    found: list[Any] = []
    close = "}" if keyed else "]"
    while True:
        if at < len(tokens) and tokens[at]["mark"] == close and not found:
            return ({} if keyed else []), at + 1
        key = None
        if keyed:
            if at + 1 >= len(tokens) or tokens[at].lastgroup != "string" or tokens[at + 1]["mark"] != ":":
                raise Strict("a key")
            key, at = _string(tokens[at]["string"]), at + 2
        value, at = _value(tokens, at, depth)
        found.append((key, value) if keyed else value)
        if at >= len(tokens) or tokens[at]["mark"] not in (",", close):
            raise Strict("a list that does not end")
        at += 1
        if tokens[at - 1]["mark"] == close:
            break
    if not keyed:
        return found, at
    if len(dict(found)) != len(found):
        raise Strict("a key twice")
    return dict(found), at


def _string(raw: str) -> str:
    def plain(match: re.Match[str]) -> str:
        escape = match[1]
        return chr(int(escape[1:], 16)) if escape[0] == "u" else ESCAPES.get(escape, escape)

    text = re.sub(r"\\(u[0-9a-fA-F]{4}|.)", plain, raw)
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise Strict("half a character") from None
