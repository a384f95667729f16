"""Check a checkpoint folder, write its model card, push both to the Hub in one commit, and read them back.

mlic push --model runs/digits/student --repo_id user/digit-tagger
mlic push --model runs/digits/student --check_only
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a saved model")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--repo_id", help="repository on the Hub, as owner/name; made when it does not exist")
    target.add_argument("--check_only", action="store_true", help="check the folder and write its card, send nothing")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--license", help="license of the weights for the card, e.g. apache-2.0")
    parser.add_argument("--message", default="Upload model", help="commit message (default: %(default)s)")
    parser.add_argument("--attempts", type=int, default=4, help="tries a step (default: %(default)s)")
    parser.add_argument(
        "--wait", type=float, default=2.0, help="seconds before the second try, doubled each time (default: 2)"
    )
    parser.add_argument("--traceback", metavar="true", help="show the traceback of an error")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse_arguments(arguments)
    # imported here, so that --help is quick
    from mlic_hf.hub import check_checkpoint, push_folder, write_card

    facts = {"license": options.license} if options.license else {}
    if options.check_only:
        model = check_checkpoint(options.model)
        card = write_card(options.model, facts)
        print(f"{options.model} is ready: {type(model).__name__}, {model.config.num_labels} labels, card {card}")
        return
    commit = push_folder(
        options.model,
        options.repo_id,
        facts=facts,
        private=options.private or None,
        message=options.message,
        attempts=options.attempts,
        wait=options.wait,
    )
    print(f"Published and verified: {options.repo_id} at commit {commit}")
