"""Other readers of the tables that are fuzzed: a CSV of tags, a TSV of one column a label, lines of JSON."""

from __future__ import annotations

from typing import Any

from benchmarks.fuzz.strict import SPLITS, Read, lines_of, need, path_of, whole
from benchmarks.fuzz.strict_json import parse, text_of

PRESENT, ABSENT, UNKNOWN = ("1", "1.0", "true"), ("0", "0.0", "false"), ("-1", "-1.0", "")
BLANKS = " \t\r\n"


def cells_of(text: str, delimiter: str) -> list[list[str]]:
    """Rows of cells; a cell in double quotes may hold delimiters, line ends and doubled quotes."""
    rows: list[list[str]] = [[]]
    at = 0
    while at < len(text):
        if text[at] == '"':
            cell, at = "", at + 1
            while True:
                end = text.find('"', at)
                need(end >= 0, "a quote that does not end")
                cell, at = cell + text[at:end], end + 1
                if text[at : at + 1] != '"':
                    break
                cell, at = cell + '"', at + 1
        else:
            end = at
            while end < len(text) and text[end] not in f"{delimiter}\r\n":
                end += 1
            cell, at = text[at:end], end
        need(at == len(text) or text[at] in f"{delimiter}\r\n", "text behind a quote")
        rows[-1].append(cell)
        if at < len(text) and text[at] != delimiter:
            at += 2 if text[at : at + 2] == "\r\n" else 1
            rows.append([])
        elif at < len(text):
            at += 1
            if at == len(text):
                rows[-1].append("")
    return [row for row in rows if row not in ([], [""])]


def table(raw: bytes, delimiter: str) -> list[dict[str, str]]:
    """Rows by column."""
    rows = cells_of(text_of(raw), delimiter)
    need(rows, "no header")
    header = [name.strip(BLANKS) for name in rows[0]]
    need(all(header) and len(set(header)) == len(header), "a header")
    need(rows[1:] and all(len(row) == len(header) for row in rows[1:]), "a row")
    return [dict(zip(header, row)) for row in rows[1:]]


def gathered(rows: list[tuple[dict[str, Any], Any, Any]], names: list[str] | None) -> Read:
    """Splits of rows with their labels."""
    found: dict[str, list[tuple[str, Any, Any]]] = {}
    paths = []
    for row, labels, ignored in rows:
        split = row.get("split")
        need(split in (None, "") or (isinstance(split, str) and split in SPLITS), "a split")
        need(isinstance(row.get("path"), str) and row["path"].strip(BLANKS), "a path")
        name = row["path"].strip(BLANKS)
        paths.append(path_of(name))
        given = row.get("image_id")
        need(given is None or type(given) in (str, int), "an id")
        key = str(given) if given not in (None, "") else name
        found.setdefault(SPLITS[split] if split else "train", []).append((key, labels, ignored))
    need(len(set(paths)) == len(paths), "a file twice")
    return whole(found, names or sorted({label for _, *both in rows for part in both for label in part}))


def tags(files: dict[str, bytes]) -> Read:
    """A CSV with tags between bars."""
    need("t.csv" in files, "no table")
    rows = table(files["t.csv"], ",")
    need("path" in rows[0] and "tags" in rows[0], "columns")
    return gathered([(row, _tags(row["tags"]), _tags(row.get("ignored"))) for row in rows], None)


def lines(files: dict[str, bytes]) -> Read:
    """Lines of JSON with lists of tags."""
    need("t.jsonl" in files, "no table")
    rows = [parse(line) for line in lines_of(files["t.jsonl"]) if line]
    need(rows and all(isinstance(row, dict) and set(row) == set(rows[0]) for row in rows), "rows")
    need({"path", "tags"} <= set(rows[0]), "columns")
    return gathered([(row, _tags(row["tags"]), _tags(row.get("ignored"))) for row in rows], None)


def _tags(cell: Any) -> set[str]:
    if cell is None:
        return set()
    if isinstance(cell, str):
        text = cell.strip(BLANKS)
        cell = parse(text) if text.startswith("[") else text.split("|") if text else []
        cell = [tag.strip(BLANKS) if isinstance(tag, str) else tag for tag in cell]
    need(isinstance(cell, list) and all(isinstance(tag, str) and tag.strip() for tag in cell), "tags")
    return set(cell)


def states(files: dict[str, bytes]) -> Read:
    """A TSV with a column a label."""
    need("t.tsv" in files, "no table")
    rows = table(files["t.tsv"], "\t")
    need({"path", "cat", "dog"} <= set(rows[0]), "columns")
    found = []
    for row in rows:
        state = {label: row[label].strip(BLANKS).lower() for label in ("cat", "dog")}
        need(all(x in (*PRESENT, *ABSENT, *UNKNOWN) for x in state.values()), "a state")
        found.append((row, {k for k in state if state[k] in PRESENT}, {k for k in state if state[k] in UNKNOWN}))
    return gathered(found, ["cat", "dog"])
