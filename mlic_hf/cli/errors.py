"""A user's mistake ends with one sentence, a programmer's with a traceback."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

import torch
from transformers.hf_argparser import string_to_bool

from dataset_builders.os_reason import os_reason

#: what the library raises for input it cannot use, with a sentence that names the mend
EXPLAINED = (ValueError, OSError, ImportError, FloatingPointError, torch.OutOfMemoryError)


def explained(main: Callable[[], None]) -> None:
    """Run a script's main; print an explained error in one line and exit with 2.

    Ctrl-C ends with 130 and a reader that has gone (`| head`) with 141, as the shell's own commands do.

    `--traceback true` on the command line shows the whole story.
    """
    try:
        main()
    except KeyboardInterrupt:
        if _traceback_wanted():
            raise
        print("stopped", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (what is flushed at the exit goes there)
        raise SystemExit(141) from None
    except EXPLAINED as error:
        if _traceback_wanted():
            raise
        print(f"error: {_sentence(error)}", file=sys.stderr)
        raise SystemExit(2) from None


def _traceback_wanted() -> bool:
    """What the command line says, whichever command's it is: one may fail before its own parser has read it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--traceback", type=string_to_bool, nargs="?", const=True)
    return bool(parser.parse_known_args()[0].traceback)


def _sentence(error: BaseException) -> str:
    text = os_reason(error) if isinstance(error, OSError) else error
    return " ".join(str(text).split())
