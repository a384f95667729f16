"""The settings of a run: one flat set, each known, each of its own type.

A recipe is YAML with values only. A method's own settings stand in a section with its key; on the command line
they are `--<method>.<setting>`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlic_hf.methods.registry import FOLDERS, get_method
from mlic_hf.runs.options import RunOptions
from mlic_hf.training.arguments import MultiLabelTrainingArguments

RECIPES = Path(__file__).parents[1] / "recipes"
EMBEDDED = RECIPES / "digit_scenes"
NOTHING = ("null", "none", "None")


@dataclass(frozen=True)
class Setting:
    """A field of one of the settings' dataclasses, by the name users give it."""

    owner: type
    field: dataclasses.Field
    kind: Any

    @property
    def default(self) -> Any:
        if self.field.default_factory is not dataclasses.MISSING:
            return self.field.default_factory()
        return None if self.field.default is dataclasses.MISSING else self.field.default


@dataclass
class Settings:
    """A parsed command: the run, the trainer's arguments, the method's own settings, and all of it as values."""

    run: RunOptions
    training: MultiLabelTrainingArguments
    method: Any
    values: dict[str, Any]

    def but(self, **changes: Any) -> Settings:
        """The same settings with some values changed."""
        return build({**self.values, **changes}, changes.get("method", self.run.method))


def settings_of(method_keys: Sequence[str]) -> dict[str, Setting]:
    """Every setting by name, those of the given methods as `<method>.<setting>`."""
    found: dict[str, Setting] = {}
    owners: list[tuple[str, type]] = [("", RunOptions), ("", MultiLabelTrainingArguments)]
    owners += [(f"{key}.", get_method(key).config) for key in method_keys]
    for prefix, owner in owners:
        kinds = typing.get_type_hints(owner)
        for field in dataclasses.fields(owner):
            if field.init:
                found[prefix + field.name] = Setting(owner, field, kinds[field.name])
    return found


def convert(name: str, value: Any, kind: Any) -> Any:
    """A value of a recipe or flag as the type of its field.

    Raises:
        ValueError: naming the setting, the value and what was expected.
    """
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        options = typing.get_args(kind)
        if value is None or (type(None) in options and value in NOTHING):
            return None
        inner = [option for option in options if option is not type(None)]
        if isinstance(value, list) and any(typing.get_origin(o) is list for o in inner):
            return value
        kind = next((o for o in inner if isinstance(o, type) and o in (int, float, bool, str, dict)), inner[0])
        kind = float if {int, float} <= set(inner) else kind
    origin = typing.get_origin(kind) or kind
    try:
        if origin is bool:
            return _boolean(value)
        if origin in (int, float):
            return origin(value)
        if origin in (dict, list, tuple) and isinstance(value, str):
            return json.loads(value)
        if origin is str:
            return _text(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}, but {getattr(origin, '__name__', origin)} was expected.") from None
    return value


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _boolean(value: Any) -> bool:
    text = str(value).lower()
    if text not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
        raise ValueError(value)
    return text in ("true", "1", "yes", "on")


def read_mapping(path: str | Path, what: str) -> dict[str, Any]:
    """A YAML file that holds a mapping; `what` names it in messages.

    Raises:
        ValueError: if it is no mapping or is not YAML; names file and line.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"The {what} {path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"The {what} {path} is a {type(content).__name__}; a mapping of settings was expected.")
    return content


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The settings of a recipe, methods' sections flattened to `<method>.<setting>`.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if it is no mapping or is not YAML; names file and line.
    """
    own = RECIPES / f"{path}.yaml"
    path = own if not Path(path).is_file() and own.is_file() else path
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"The recipe {path} is not there; the library's own are named as data set and method, like coco/l2d."
        )
    return flatten(read_mapping(path, "recipe"))


def flatten(content: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with methods' sections as flat ones, `<method>.<setting>`."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if key in FOLDERS and isinstance(value, dict):
            flat.update({f"{key}.{name}": inner for name, inner in value.items()})
        else:
            flat[str(key)] = value
    return flat


def check_known(names: Sequence[str], known: dict[str, Setting], where: str) -> None:
    """Refuse a setting nobody reads.

    Raises:
        ValueError: naming it, where it stands, and the nearest names.
    """
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "`--help` lists all settings."
            raise ValueError(f"{where} has the unknown key {name!r}; {hint}")


def build(values: dict[str, Any], method: str) -> Settings:
    """Typed settings from flat values.

    Raises:
        ValueError: for a value of the wrong type or out of range.
    """
    known = settings_of(list(FOLDERS))
    values = {name: convert(name, value, known[name].kind) for name, value in values.items()}
    spec = get_method(method)

    def of(owner: type, prefix: str = "") -> Any:
        fields = {f.name for f in dataclasses.fields(owner) if f.init}
        chosen = {n[len(prefix) :]: v for n, v in values.items() if n.startswith(prefix) and known[n].owner is owner}
        return owner(**{name: value for name, value in chosen.items() if name in fields})

    run = of(RunOptions)
    run.method = method
    return Settings(run, of(MultiLabelTrainingArguments), of(spec.config, f"{method}."), {**values, "method": method})


def resolve(given: Mapping[str, Any], default_method: str) -> Settings:
    """Typed settings from what a user gave, over the recipe that it names.

    Without a recipe and without a data set, the method's recipe for the embedded data set holds.

    Args:
        given: setting -> value.
        default_method: the method when neither recipe nor user says.

    Raises:
        ValueError: for unknown or wrong settings, naming file and key.
    """
    known = settings_of(list(FOLDERS))
    check_known(list(given), known, "The call")
    path = given.get("config")
    embedded = EMBEDDED / f"{given.get('method', default_method)}.yaml"
    if path is None and "dataset" not in given and embedded.is_file():
        path = str(embedded)
    recipe = {} if path is None else read_recipe(path)
    check_known(list(recipe), known, f"The recipe {path}")
    values = {**recipe, **given}
    for section in ("teacher_run", "alone_run", "mulcon.stage_one"):
        changed = convert(section, values.get(section, {}), dict)
        check_known(list(changed), known, f"The section {section}")
    return build(values, str(values.get("method", default_method)))
