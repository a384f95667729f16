"""What nobody should publish, secrets and private paths: taken out of what is written, found in what is sent."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

SECRET = "<secret>"
_NAMES = r"(?:token|api[_-]?key|access[_-]?key(?:[_-]?id)?|private[_-]?key|secret(?:[_-]?key)?|pass(?:word|wd|phrase))"
#: names of settings and environment variables that hold secrets: hub_token, AWS_SECRET_ACCESS_KEY, ...
SECRET_NAME = re.compile(rf"(?i)(?:^|.*[_.\- ]){_NAMES}$")
#: what a secret looks like, by what it is
SECRETS: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "a private key": r"(?s)-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----(?:.*?-----END [A-Z0-9 ]+-----)?",
        "a Hugging Face token": r"\b(?:hf|api_org)_[A-Za-z0-9]{16,}",
        "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})",
        "a GitLab token": r"\bglpat-[\w-]{16,}",
        "an AWS key": r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
        "a Google key": r"\bAIza[\w-]{35}",
        "a Slack token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
        "a service's key": r"\b(?:sk|rk)[-_](?=[\w-]*\d)(?=[\w-]*[A-Z])[\w-]{20,}",
        "a package registry's token": r"\b(?:npm_[A-Za-z0-9]{30,}|pypi-[\w-]{40,})",
        "a JSON web token": r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}",
        "a bearer token": r"(?i)\bbearer\s+[\w.~+/-]{16,}=*",
        "an address with a password": r"\b[A-Za-z][\w+.-]*://[^\s/:@]*:[^\s/@]+@",
        # a value of eight characters or more with a digit among them; calls and attributes in code are none
        "a secret setting": rf"""(?i)["']?\b(?:[\w.-]*[_.-])?{_NAMES}["']?[ \t]*[=:][ \t]*["']?"""
        r"""(?=[^\s"'.,;&(){}\[\]]{8})[^\s"'.,;&(){}\[\]]*\d[^\s"',;&(){}\[\]]*""",
    }.items()
}
# a flag with its value, as in `--hub_token hf_...`
SECRET_FLAG = re.compile(rf"""(?i)(?:^|(?<=\s))--?(?:[\w.-]*[_.-])?{_NAMES}(?:=|\s+)(?:'[^']*'|"[^"]*"|\S+)\s*""")
# an absolute path of two parts or more: quoted whole, or up to what ends a word. /m/01g317, a label of Open Images,
# is none; nor is what follows the host of an address.
PATH = re.compile(
    r"""(?<=')/[^/'\n]{2,}/[^'\n]*(?=')|(?<=")/[^/"\n]{2,}/[^"\n]*(?=")"""
    r"""|(?:^|(?<=[\s"'=,:(\[{]))(?:file://)?/[^/\s"'=,:;()\[\]{}]{2,}/[^\s"'=,:;()\[\]{}]+"""
)
WINDOWS_PATH = re.compile(r"""\b[A-Za-z]:(?:\\{1,2}|/(?!/))[^\s"',;]+""")
#: folders whose children belong to persons
HOMES = ("/", "/home", "/Users", "/var/home")


def publishable(value: Any, folder: str | Path) -> Any:
    """A value as it may be published: no secrets, no absolute paths.

    Args:
        value: settings, a command, or anything else made of mappings, sequences and text.
        folder: what paths become relative to, the folder of a run as a rule.

    Returns:
        the same value without the entries whose names are those of secrets (`hub_token`, ...), `<secret>` in place
        of text that looks like one, and relative paths (see `relative_path`). Doing it twice changes nothing more.
    """
    return _each_text(without_secrets(value), lambda text: _relative_paths(text, Path(folder)))


def without_secrets(value: Any) -> Any:
    """A value without secrets, paths as they were; as `publishable`, for files that are read again here."""
    own = own_secrets()

    def clean(text: str) -> str:
        for secret in own:
            text = text.replace(secret, SECRET)
        text = SECRET_FLAG.sub("", text)
        for pattern in SECRETS.values():
            text = pattern.sub(SECRET, text)
        return text

    return _each_text(value, clean)


def is_secret_entry(name: Any, value: Any) -> bool:
    """Whether an entry of a mapping holds a secret, by its name: text, and not a placeholder for it."""
    return isinstance(value, str) and value not in ("", SECRET) and SECRET_NAME.match(str(name)) is not None


def command_line(command: str | Sequence[str]) -> str:
    """A command as one line for a shell that may be published; paths are relative to where it was given.

    Args:
        command: the line, or its arguments with the program ("mlic train") first, as in `sys.argv`.
    """
    if isinstance(command, str):
        return publishable(command, Path.cwd())
    program, *arguments = map(str, command)
    if os.path.isabs(program) and not Path(program).is_relative_to(Path.cwd()):
        program = Path(program).name
    return publishable(f"{program} {shlex.join(arguments)}", Path.cwd()).strip()


def own_secrets() -> list[str]:
    """The secrets of whoever runs this: the Hub's token and those in the environment, longest first."""
    from huggingface_hub import get_token

    held = {value for name, value in os.environ.items() if is_secret_entry(name, value)}
    return sorted((value for value in {get_token() or "", *held} if len(value) >= 8), key=len, reverse=True)


def relative_path(path: str, folder: Path) -> str:
    """An absolute path as it may be published.

    Args:
        path: an absolute path.
        folder: what it becomes relative to.

    Returns:
        the path from `folder`, where both lie in one place that is not the root or the folder of all homes; else its
        name behind a number that stands for its parent, so that two places stay two.
    """
    parent, name = os.path.split(os.path.normpath(path.removeprefix("file://")))
    start = os.path.abspath(folder)
    try:
        common = os.path.commonpath([parent, start])
    except ValueError:  # other drives
        common = "/"
    if common not in HOMES:
        return os.path.relpath(os.path.join(parent, name), start)
    return f"<{hashlib.sha256(parent.encode()).hexdigest()[:8]}>/{name}"


def secrets_in(text: str) -> Iterator[tuple[int, str]]:
    """Where a text holds what should not be published: position and, in words, what it is."""
    for secret in own_secrets():
        for match in re.finditer(re.escape(secret), text):
            yield match.start(), "a secret of this machine's environment"
    for what, pattern in SECRETS.items():
        yield from ((match.start(), what) for match in pattern.finditer(text))
    yield from ((match.start(), "a path of somebody's home folder") for match in home_pattern().finditer(text))


def home_pattern() -> re.Pattern[str]:
    """Paths inside of home folders, the own one whatever its name."""
    places = [r"/(?:var/)?home/[\w.-]+", r"/Users/[\w.-]+", "/root/", r"[A-Za-z]:[\\/]+Users[\\/]+\w+"]
    if Path.home() != Path("/"):
        places.append(re.escape(str(Path.home())))
    return re.compile(rf"(?<![\w.])(?:{'|'.join(places)})\b")


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        kept = {name: inner for name, inner in value.items() if not is_secret_entry(name, inner)}
        return {_each_text(name, change): _each_text(inner, change) for name, inner in kept.items()}
    if isinstance(value, (list, tuple)):
        return [_each_text(inner, change) for inner in value]
    return change(str(value)) if isinstance(value, os.PathLike) else value


def _relative_paths(text: str, folder: Path) -> str:
    if PATH.match(text) and not re.search(r"\n| [/-]", text):  # one path, perhaps with spaces in it
        return relative_path(text, folder)
    text = PATH.sub(lambda match: relative_path(match[0], folder), text)
    return WINDOWS_PATH.sub(lambda match: PureWindowsPath(match[0]).name, text)
