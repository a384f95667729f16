"""Flags: every setting of a run, over the recipe that the command names."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from enum import Enum

from mlic_hf.methods.registry import FOLDERS
from mlic_hf.runs.options import RunOptions
from mlic_hf.runs.settings import Settings, resolve, settings_of
from mlic_hf.training.arguments import MultiLabelTrainingArguments

#: short flags for settings of one method
ALIASES = {"stage": "mulcon.stage", "gather": "mulcon.gather"}
#: of transformers' own settings those that nearly every run gives
USUAL = ("output_dir", "num_train_epochs", "seed", "bf16", "gradient_accumulation_steps", "use_cpu")


class _OneLine(argparse.RawDescriptionHelpFormatter):
    """A setting a line, however narrow the screen."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=36, width=160)

    def add_usage(self, usage: str | None, actions: object, groups: object, prefix: str | None = None) -> None:
        """None: it would name every flag twice."""


def make_parser(description: str, default_method: str, everything: bool = True) -> argparse.ArgumentParser:
    """The flags of a verb: every setting of the run, the trainer and every method.

    Args:
        description: the verb's docstring.
        default_method: the method of the verb, and what `--method` says it is.
        everything: whether the help shows all of them, or those of the run, the method and what runs usually give.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=_OneLine, allow_abbrev=False, add_help=False
    )
    parser.add_argument("--help", "-h", metavar="all", nargs="?", help="these settings; `--help all`: every one")
    own = MultiLabelTrainingArguments.__annotations__.keys() | set(USUAL)
    groups: dict[str, argparse._ArgumentGroup] = {}
    for name, setting in settings_of(list(FOLDERS)).items():
        method = name.split(".")[0] if "." in name else None
        title = "the run" if setting.owner is RunOptions else f"the method {method}" if method else "training"
        shown = everything or setting.owner is RunOptions or method == default_method or (not method and name in own)
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        default = default_method if name == "method" else setting.default
        text = str(setting.field.metadata.get("help", "as in transformers.TrainingArguments"))
        value = default.value if isinstance(default, Enum) else default
        groups[title].add_argument(
            f"--{name}",
            default=argparse.SUPPRESS,
            metavar="",
            help=f"{text} (default: {value})".replace("%", "%%") if shown else argparse.SUPPRESS,
        )
    for alias, name in ALIASES.items():
        shown = everything or name.split(".")[0] == default_method
        help_text = f"the same as --{name}" if shown else argparse.SUPPRESS
        parser.add_argument(f"--{alias}", dest=name, default=argparse.SUPPRESS, metavar="", help=help_text)
    return parser


def parse(description: str, default_method: str, argv: Sequence[str] | None = None) -> Settings:
    """Read the command line, and the recipe it names under it.

    Args:
        description: the verb's docstring.
        default_method: what the verb does when neither recipe nor flag says.
        argv: the arguments; the process's own when None.

    Raises:
        ValueError: for unknown or wrong settings, naming file and key.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    for flag in ("--help", "-h"):
        if flag in given:
            after = given[given.index(flag) + 1 :]
            make_parser(description, default_method, everything=after[:1] == ["all"]).print_help()
            raise SystemExit(0)
    flags = vars(make_parser(description, default_method).parse_args(given))
    flags.pop("help", None)
    return resolve(flags, default_method)
