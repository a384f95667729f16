"""A file of tags that is whole or not there: rows are kept in a journal beside it until the last one."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mlic_hf.runs.tagging import Tagged

ENDINGS = (".jsonl", ".csv")


class TagFile:
    """Collects tagged pictures for a .jsonl or .csv file.

    Rows go to `<output>.partial`, JSON lines under a first line with the settings. `finish` writes the output
    under another name and swaps it in.

    Args:
        output: the file.
        settings: what the rows depend on (model, threshold, ...); JSON values.
        resume: go on with a journal that a stopped run left, if there is one.

    Raises:
        ValueError: another ending; a journal with rows is there and `resume` is not set; or it has other settings.
    """

    def __init__(self, output: Path, settings: Mapping[str, Any], resume: bool = False) -> None:
        check_ending(output)
        self.output = output
        self.journal = output.with_name(output.name + ".partial")
        self.rows: dict[str, Tagged] = {}
        if self.journal.exists() and b"\n{" in self.journal.read_bytes():
            if not resume:
                raise ValueError(f"{self.journal} was left by a stopped run; go on with `resume`, or remove it.")
            self._read(settings)
        else:
            output.parent.mkdir(parents=True, exist_ok=True)
            self.journal.write_text(line_of({"settings": settings}), encoding="utf-8")
        self._file = self.journal.open("a", encoding="utf-8")

    def add(self, tagged: Tagged) -> None:
        """Keep one picture; a run that is killed after this does not lose it."""
        self.rows[tagged.file] = tagged
        self._file.write(line_of(tagged.as_row()))
        self._file.flush()

    def finish(self, files: Iterable[str]) -> None:
        """Write the output, a row or more a file in this order, and remove the journal."""
        self._file.close()
        rows = [self.rows[file] for file in files]
        text = as_csv(rows) if self.output.suffix.lower() == ".csv" else "".join(line_of(r.as_row()) for r in rows)
        written = self.output.with_name(self.output.name + ".writing")
        with written.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        written.replace(self.output)
        self.journal.unlink()

    def _read(self, settings: Mapping[str, Any]) -> None:
        """Take over the whole lines of a journal; a last line that was cut off is removed."""
        content = self.journal.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        try:
            first, *lines = whole.decode("utf-8").split("\n")[:-1]
            found = json.loads(first)["settings"]
            for line in lines:
                row = Tagged(**json.loads(line))
                self.rows[row.file] = row
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.journal} is no journal of this command ({error}); remove it.") from None
        wanted = json.loads(line_of(dict(settings)))
        if found != wanted:
            other = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
            raise ValueError(
                f"{self.journal} was begun with other settings ({', '.join(other)}); give the same, or remove it."
            )
        self.journal.write_bytes(whole)


def check_ending(output: Path) -> None:
    """Refuse a file that is neither .jsonl nor .csv.

    Raises:
        ValueError: it is neither.
    """
    if output.suffix.lower() not in ENDINGS:
        raise ValueError(f"output is {output}; a .jsonl or .csv file was expected.")


def line_of(value: Any) -> str:
    """A line of JSON; names of files that are no Unicode are written with escapes."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value)
    return text + "\n"


def as_csv(rows: Iterable[Tagged]) -> str:
    """file, label, score, error: a line a label; a picture without labels, or that is broken, has one line too."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["file", "label", "score", "error"])
    for row in rows:
        labels = row.labels or [{"label": "", "score": ""}]
        table.writerows([row.file, each["label"], each["score"], row.error or ""] for each in labels)
    return text.getvalue()
