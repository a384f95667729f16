"""Flags: every setting of a run, under the recipe that the command names."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from enum import Enum
from typing import Any

from mlic_hf.methods.registry import FOLDERS
from mlic_hf.runs.options import RunOptions
from mlic_hf.runs.settings import EMBEDDED, Settings, build, check_known, convert, read_recipe, settings_of
from mlic_hf.training.arguments import MultiLabelTrainingArguments

#: short flags for settings of one method
ALIASES = {"stage": "mulcon.stage", "gather": "mulcon.gather"}


def make_parser(description: str, default_method: str) -> argparse.ArgumentParser:
    """The flags of a script: every setting of the run, the trainer and every method."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    groups: dict[type, Any] = {}
    for name, setting in settings_of(list(FOLDERS)).items():
        if setting.owner not in groups:
            title = {RunOptions: "the run", MultiLabelTrainingArguments: "training"}.get(setting.owner)
            groups[setting.owner] = parser.add_argument_group(title or f"the method {name.split('.')[0]}")
        default = default_method if name == "method" else setting.default
        shown = default.value if isinstance(default, Enum) else default
        text = str(setting.field.metadata.get("help", "as in transformers.TrainingArguments"))
        groups[setting.owner].add_argument(
            f"--{name}",
            default=argparse.SUPPRESS,
            metavar="VALUE",
            help=f"{text} (default: {shown})".replace("%", "%%"),
        )
    for alias, name in ALIASES.items():
        help_text = f"the same as --{name}"
        parser.add_argument(f"--{alias}", dest=name, default=argparse.SUPPRESS, metavar="VALUE", help=help_text)
    return parser


def parse(
    description: str,
    default_method: str,
    argv: Sequence[str] | None = None,
) -> Settings:
    """Read the command line, and the recipe it names under it.

    Without a recipe and without a data set, the method's recipe for the embedded data set holds.

    Args:
        description: the script's docstring.
        default_method: what the script does when neither recipe nor flag says.
        argv: the arguments; the process's own when None.

    Raises:
        ValueError: for unknown or wrong settings, naming file and key.
    """
    flags = vars(make_parser(description, default_method).parse_args(argv))
    known = settings_of(list(FOLDERS))
    recipe_path = flags.get("config")
    embedded = EMBEDDED / f"{flags.get('method', default_method)}.yaml"
    if recipe_path is None and "dataset" not in flags and embedded.is_file():
        recipe_path = str(embedded)
    recipe = {} if recipe_path is None else read_recipe(recipe_path)
    check_known(list(recipe), known, f"The recipe {recipe_path}")
    values = {**recipe, **flags}
    for section in ("teacher_run", "alone_run", "mulcon.stage_one"):
        changed = convert(section, values.get(section, {}), dict)
        check_known(list(changed), known, f"The section {section}")
    return build(values, str(values.get("method", default_method)))
