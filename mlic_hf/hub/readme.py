"""A README that two write: a marked section of ours, and everything else, which belongs to whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from mlic_hf.hub.citations import ARCHITECTURE_NAMES, METHOD_NAMES

BEGIN = "<!-- mlic_hf: begin -->"
END = "<!-- mlic_hf: end -->"
INDEX = "model-index"
TOP_LEVEL_KEY = re.compile(r"""^(?=[\w"'][^:\n]*:(?:\s|$))""", re.MULTILINE)


@dataclass(frozen=True)
class Readme:
    """The parts of a README.

    Args:
        front: the YAML block as it was written, without its fences; "" for none.
        before, after: what stands around our section; all of a README without one is `before`.
        section: ours, without its marks; None where there is none yet.
    """

    front: str = ""
    before: str = ""
    section: str | None = None
    after: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        return yaml.safe_load(self.front) or {}

    @property
    def own_text(self) -> str:
        """What is not ours."""
        return f"{self.before}\n{self.after}".strip()


def read_readme(text: str, name: str = "README.md") -> Readme:
    """The parts of a README's text.

    Raises:
        ValueError: when its front matter is no YAML mapping, or the marks of our section do not pair.
    """
    text = text.replace("\r\n", "\n")
    front, body = "", text
    if match := re.match(r"---[ \t]*\n(.*?)^---[ \t]*(?:\n|$)", text, re.DOTALL | re.MULTILINE):
        front, body = match[1], text[match.end() :]
        try:
            fields = yaml.safe_load(front)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = "" if mark is None else f", line {mark.line + 2}"
            raise ValueError(f"The front matter of {name} is no YAML{line}: {' '.join(str(error).split())}") from None
        if fields is not None and not isinstance(fields, dict):
            raise ValueError(
                f"The front matter of {name} is a {type(fields).__name__}; fields such as `license: mit` belong there."
            )
    if (body.count(BEGIN), body.count(END)) == (0, 0):
        return Readme(front, body.strip("\n"))
    if (body.count(BEGIN), body.count(END)) != (1, 1) or body.index(BEGIN) > body.index(END):
        raise ValueError(
            f"{name} has {body.count(BEGIN)} lines {BEGIN} and {body.count(END)} lines {END}; one pair was expected. "
            "Delete those that are too many: what lies between a pair is written anew."
        )
    before, rest = body.split(BEGIN)
    section, after = rest.split(END)
    return Readme(front, before.strip("\n"), section.strip("\n"), after.strip("\n"))


def write_readme(readme: Readme, fields: Mapping[str, Any], section: str) -> str:
    """A README's text with our section and fields, everything else as it was.

    Args:
        readme: what is there.
        fields: of the front matter, all of them; those that did not change keep their lines.
        section: ours, without its marks. Its title goes where another part of the README has one.
    """
    if re.search(r"^# ", re.sub(r"```.*?```", "", readme.own_text, flags=re.DOTALL), re.MULTILINE):
        section = re.sub(r"\A# .*\n+", "", section)
    parts = [readme.before, f"{BEGIN}\n{section.strip()}\n{END}", readme.after]
    body = "\n\n".join(part for part in parts if part)
    return f"---\n{front_matter(readme, fields)}---\n\n{body}\n"


def front_matter(readme: Readme, fields: Mapping[str, Any]) -> str:
    """A YAML block of fields in which what did not change stands as it was written, comments and order included."""
    before = readme.fields
    lines = {}
    for chunk in TOP_LEVEL_KEY.split(readme.front):
        for key in yaml.safe_load(chunk) or {}:
            lines[key] = chunk
    comment = readme.front[: match.start()] if (match := TOP_LEVEL_KEY.search(readme.front)) else readme.front
    kept = [lines[k] if k in before and before[k] == v else as_yaml(k, v) for k, v in fields.items()]
    return comment + "".join(kept)


def as_yaml(key: str, value: Any) -> str:
    return yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True)


def merge_fields(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """Front matter of two: what stands there stays, lists are joined, and of results those on other data sets stay.

    Args:
        theirs: the fields that a README has; tags that name another method or architecture than ours are outdated.
        ours: the fields of a card.

    Returns:
        all fields, theirs first.
    """
    merged = {**theirs, **{key: value for key, value in ours.items() if key not in theirs}}
    told_by_us = {*METHOD_NAMES, *ARCHITECTURE_NAMES}
    for key in ("tags", "datasets", "metrics"):
        if key in theirs and key in ours:
            listed = theirs[key] if isinstance(theirs[key], list) else [theirs[key]]
            kept = [name for name in listed if name not in told_by_us or name in ours[key]]
            merged[key] = list(dict.fromkeys([*kept, *ours[key]]))
    if INDEX in ours and INDEX in theirs:
        merged[INDEX] = merge_results(theirs[INDEX], ours[INDEX])
    return merged


def merge_results(theirs: list[Any], ours: list[Any]) -> list[Any]:
    """Two lists of models with their results: ours, and of theirs those on data sets that ours do not tell of."""
    measured = {result["dataset"]["type"] for model in ours for result in model["results"]}
    rest: dict[str, dict[str, Any]] = {}
    for model in theirs:
        if not isinstance(model, dict) or not isinstance(model.get("results"), list):
            raise ValueError(
                f"The front matter's {INDEX} has the entry {model!r}; a model with `results` was expected."
            )
        kept = [result for result in model["results"] if result.get("dataset", {}).get("type") not in measured]
        rest[str(model.get("name"))] = {**model, "results": kept}
    joined = [{**m, "results": [*rest.pop(m["name"], {"results": []})["results"], *m["results"]]} for m in ours]
    return [*(model for model in rest.values() if model["results"]), *joined]
