"""Every command of the README and the guides exists, and its arguments are those that the command takes."""

from __future__ import annotations

import argparse
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mlic_hf.cli import VERBS, main
from mlic_hf.cli.parsing import make_parser
from mlic_hf.runs.settings import read_recipe, resolve
from tests.documented import PAGES, ROOT, Block, blocks, commands, measured

SHELL = [block for page in PAGES for block in [*blocks(page, "bash"), *measured(page)]]
DEFAULTS = {"train": "supervised", "contrast": "mulcon", "object_aware": "oass", "train_teachers": "psd"}


class Parsed(Exception):
    """The arguments were understood; nothing is run."""


def test_every_block_says_what_it_is() -> None:
    known = {"bash", "python", "json", "yaml", "text"}
    assert [str(block) for page in PAGES for block in blocks(page) if block.language not in known] == []
    assert len(SHELL) > 20


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_its_commands_are_understood(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in commands(block):
        understood(words, monkeypatch)


def test_a_wrong_flag_or_value_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        understood(["mlic", "predict", "--modell", "M", "a.jpg"], monkeypatch)
    with pytest.raises(ValueError, match="learning_rate"):
        understood(["mlic", "train", "--learning_rate", "fast"], monkeypatch)
    with pytest.raises(SystemExit):
        understood(["accelerate", "launch", "training_scripts/train.py", "--learning_rat", "1"], monkeypatch)


def understood(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    while re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    if "&&" in words:
        place = words.index("&&")
        understood(words[:place], monkeypatch)
        words = words[place + 1 :]
    program, *rest = words
    if program == "make":
        assert re.search(rf"^{rest[0]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), rest
    elif program == "mlic":
        understood_by_mlic(rest, monkeypatch)
    elif program == "accelerate":
        launched(rest, monkeypatch)
    elif program == "sbatch":
        assert (ROOT / next(word for word in rest if not word.startswith("-"))).is_file()
    elif program == "python":
        assert rest[0] == "-m", words
        assert rest[1] == "pytest" or importlib.util.find_spec(rest[1]), words
    else:
        assert (program, rest[0]) in {("pip", "install"), ("git", "clone")}, words
        named = re.findall(r"mlic_hf\[([\w,]+)\]", " ".join(rest))
        project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        assert [extra for names in named for extra in names.split(",") if f"\n{extra} = [" not in project] == []


def understood_by_mlic(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The verb's own parser takes the flags; flags of a run are also read as settings, typed and known."""
    if words[0].startswith("--"):
        return main([words[0]])
    assert words[0] in VERBS, words
    given = dry_parse(words, monkeypatch)
    settings = {flag.removeprefix("--") for flag in make_parser("", "")._option_string_actions}
    if set(given) <= settings:
        if given.get("config") and not is_recipe(given["config"]):
            del given["config"]
        resolve(given, DEFAULTS.get(words[0], "l2d"))
    return None


def dry_parse(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    parse = argparse.ArgumentParser.parse_args

    def and_stop(self: Any, args: Any = None, namespace: Any = None) -> Any:
        raise Parsed(vars(parse(self, args, namespace)))

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", and_stop)
        with pytest.raises(Parsed) as told:
            main(words)
    return {flag: value for flag, value in told.value.args[0].items() if flag != "help"}


def is_recipe(name: str) -> bool:
    try:
        read_recipe(name)
    except FileNotFoundError:
        return False
    return True


def launched(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`accelerate launch [flags] training_scripts/<verb>.py ...`, or `-m mlic_hf.cli <verb> ...`."""
    from accelerate.commands.launch import launch_command_parser

    assert words[0] == "launch"
    options = launch_command_parser().parse_args([re.sub(r"^\$\w+$", "1", word) for word in words[1:]])
    if options.config_file:
        assert (ROOT / options.config_file).is_file()
    if options.module:
        assert options.training_script == "mlic_hf.cli"
        return understood_by_mlic(options.training_script_args, monkeypatch)
    script = Path(options.training_script)
    assert (ROOT / script).is_file()
    return understood_by_mlic([script.stem, *options.training_script_args], monkeypatch)
