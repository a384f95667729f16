"""A user's mistake ends with one sentence, a programmer's with a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch

#: what the library raises for input it cannot use, with a sentence that names the mend
EXPLAINED = (ValueError, OSError, ImportError, FloatingPointError, torch.OutOfMemoryError)


def explained(main: Callable[[], None]) -> None:
    """Run a script's main; print an explained error in one line and exit with 2.

    `--traceback true` on the command line shows the whole story.
    """
    try:
        main()
    except EXPLAINED as error:
        if "--traceback" in sys.argv:
            raise
        print(f"error: {_sentence(error)}", file=sys.stderr)
        raise SystemExit(2) from None


def _sentence(error: BaseException) -> str:
    # str() of an OSError with two arguments begins with the number of the error.
    text = error.args[1] if isinstance(error, OSError) and len(error.args) > 1 else error
    return " ".join(str(text).split())
