"""The command line: one verb a file, started by `mlic <verb>` or by the file of its name in training_scripts."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from mlic_hf.cli.errors import explained

#: what each verb does, in the order of a project
VERBS = {
    "prepare_dataset": "check a data set and write it as Parquet",
    "inspect": "look at a data set: counts, broken and double pictures, on one page",
    "audit": "find labels that are probably wrong, with pictures and a table to decide in",
    "partition": "cut the labels of a data set in parts (PSD)",
    "train": "train a model on its labels, or by any method",
    "train_teachers": "train PSD's teachers, one a part",
    "cache": "ask the teacher once: keep its answers, to distil without it",
    "distill": "distil a student from a teacher (L2D, PSD)",
    "contrast": "train with a contrastive method (MulCon, CoCo)",
    "object_aware": "train a classifier that learns where objects are (OASS)",
    "study": "compare variants over seeds, with intervals",
    "evaluate": "measure a saved model",
    "report": "one page on how good a model is, and against another",
    "predict": "tag pictures",
    "demo": "a page in the browser to try a model on",
    "export": "write a model as an ONNX file, in half or int8 on request",
    "push": "check a model, write its card, publish it",
    "convert_checkpoint": "convert a published checkpoint of the originals",
    "completion": "completion of verbs and settings for your shell",
    "env": "versions and devices, for a report of a problem",
}


def run_verb(verb: str, arguments: Sequence[str] | None = None) -> None:
    """Run a verb; an explained mistake ends with one sentence and exit status 2."""
    if not sys.stderr.isatty():  # bars are for people: a log of them is thousands of lines
        for library in ("DATASETS", "HUB"):
            os.environ.setdefault(f"HF_{library}_DISABLE_PROGRESS_BARS", "1")
    module = importlib.import_module(f"mlic_hf.cli.{verb}")
    explained(lambda: module.main(arguments))


def main(arguments: Sequence[str] | None = None) -> None:
    """`mlic <verb> [...]`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] in (["--version"], ["-V"]):
        print(f"mlic_hf {version('mlic_hf')}")
        return
    verb = given[0].replace("-", "_") if given else ""
    if verb in VERBS:
        sys.argv = [f"mlic {verb}", *given[1:]]  # argparse and run.json name the command by it
        run_verb(verb, given[1:])
        return
    told = "\n".join(f"  {name:<20}{what}" for name, what in VERBS.items())
    usage = f"usage: mlic VERB [...]\n\n{told}\n\n`mlic VERB --help` tells its settings."
    if not given or given[0] in ("--help", "-h"):
        print(usage)
        return
    print(f"error: There is no verb {given[0]!r}.\n\n{usage}", file=sys.stderr)
    raise SystemExit(2)
