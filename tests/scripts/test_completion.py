"""The shell completes verbs and their flags."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from mlic_hf.cli import VERBS
from mlic_hf.cli.completion import bash_script, fish_script, flags_of


@pytest.mark.parametrize(
    ("verb", "some"),
    [
        ("predict", {"--model", "--num_workers", "--resume", "--help"}),
        ("distill", {"--teacher", "--l2d.weight_mld", "--learning_rate"}),
        ("export", {"--quantize", "--inside"}),
    ],
)
def test_flags_are_those_of_the_help(verb: str, some: set[str]) -> None:
    assert some <= set(flags_of(verb))


def completed(words: list[str]) -> list[str]:
    script = bash_script(VERBS, {verb: [f"--{verb}_one", "--two", "--help"] for verb in VERBS})
    typed = " ".join(f"'{word}'" for word in words)
    ask = f'COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _mlic; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on this machine")
def test_bash_completes() -> None:
    assert completed(["mlic", "pre"]) == ["prepare_dataset", "predict"]
    assert set(completed(["mlic", ""])) == {*VERBS, "--help", "--version"}
    assert completed(["mlic", "predict", "--t"]) == ["--two"]
    assert completed(["mlic", "push", "photo.jpg", "--p"]) == ["--push_one"]
    assert "/etc" in completed(["mlic", "predict", "/et"])


def test_fish_knows_verbs_and_flags() -> None:
    lines = fish_script(VERBS, {verb: ["--help"] for verb in VERBS}).splitlines()
    assert len(lines) == 2 * len(VERBS)
    assert "complete -c mlic -n '__fish_seen_subcommand_from predict' -l help" in lines
    assert all(line.replace("\\'", "").count("'") % 2 == 0 for line in lines)
