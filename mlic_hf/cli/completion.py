"""Completion of verbs and settings for your shell; written once, as completion scripts are.

mlic completion bash > ~/.local/share/bash-completion/completions/mlic
mlic completion zsh > ~/.zfunc/_mlic_completion && echo 'source ~/.zfunc/_mlic_completion' >> ~/.zshrc
mlic completion fish > ~/.config/fish/completions/mlic.fish
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import re
from collections.abc import Mapping, Sequence

FLAG = re.compile(r"^ {2,}(?:-\w, )?(--[a-z][\w.]*)", re.MULTILINE)


def flags_of(verb: str) -> list[str]:
    """Every flag that the help of a verb names."""
    module = importlib.import_module(f"mlic_hf.cli.{verb}")
    told = io.StringIO()
    for arguments in (["--help", "all"], ["--help"]):
        with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
            module.main(arguments)
    return sorted(set(FLAG.findall(told.getvalue())) | {"--help"})


def bash_script(verbs: Mapping[str, str], flags: Mapping[str, Sequence[str]]) -> str:
    """For bash; zsh reads it, too, after `bashcompinit`."""
    cases = "\n".join(f'    {verb}) flags="{" ".join(flags[verb])}" ;;' for verb in verbs)
    return f"""_mlic() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" flags=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{" ".join(verbs)} --help --version" -- "$current"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$current")) ;;
    *) COMPREPLY=($(compgen -f -- "$current")) ;;
  esac
}}
complete -o filenames -F _mlic mlic
"""


def fish_script(verbs: Mapping[str, str], flags: Mapping[str, Sequence[str]]) -> str:
    """For fish."""
    lines = []
    for verb, what in verbs.items():
        told = what.replace("'", r"\'")
        lines.append(f"complete -c mlic -n __fish_use_subcommand -f -a {verb} -d '{told}'")
        for flag in flags[verb]:
            lines.append(f"complete -c mlic -n '__fish_seen_subcommand_from {verb}' -l {flag.removeprefix('--')}")
    return "\n".join(lines) + "\n"


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    arguments = parser.parse_args(given)
    from mlic_hf.cli import VERBS

    flags = {verb: ["--help"] if verb == "completion" else flags_of(verb) for verb in VERBS}
    if arguments.shell == "fish":
        print(fish_script(VERBS, flags), end="")
        return
    start = "autoload -U +X bashcompinit && bashcompinit\n" if arguments.shell == "zsh" else ""
    print(start + bash_script(VERBS, flags), end="")
