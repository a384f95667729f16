"""Check a checkpoint folder, write our part of its model card, push both in one commit, and read them back.

What you wrote into README.md yourself, and the fields of its front matter, stay as they are.

mlic push --model runs/digits/student --repo_id user/digit-tagger
mlic push --model runs/digits/student --check_only
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a saved model")
    parser.add_argument("--repo_id", help="repository on the Hub, as owner/name; made when it does not exist")
    parser.add_argument(
        "--check_only",
        action="store_true",
        help="check the folder, show how its card would change, send nothing",
    )
    parser.add_argument(
        "--space", metavar="FOLDER", help="also write a Space that shows the model of --repo_id into a folder"
    )
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--license", help="license of the weights for the card, e.g. apache-2.0")
    parser.add_argument("--message", default="Upload model", help="commit message (default: %(default)s)")
    parser.add_argument("--attempts", type=int, default=4, help="tries a step (default: %(default)s)")
    parser.add_argument(
        "--wait", type=float, default=2.0, help="seconds before the second try, doubled each time (default: 2)"
    )
    parser.add_argument("--traceback", metavar="true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    if options.repo_id is None and options.space is not None:
        parser.error("--space shows a model of the Hub; name it with --repo_id")
    if options.repo_id is None and not options.check_only:
        parser.error("give --repo_id to publish the model, or --check_only to look at it")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse_arguments(arguments)
    # imported here, so that --help is quick
    from mlic_hf.hub import card_difference, check_checkpoint, push_folder
    from mlic_hf.hub.push import files_to_push
    from mlic_hf.hub.scan import refuse_private

    if options.space is not None:
        from mlic_hf.hub.space import write_space

        written = write_space(options.space, options.repo_id)
        print(f"Space of {options.repo_id} in {options.space}: {', '.join(path.name for path in written)}")
        print(f"Publish it with: hf upload {options.repo_id} {options.space} --repo-type space")
    space = options.repo_id if options.space is not None else None  # a Space may have the name of its model
    given = {"license": options.license, "repo_id": options.repo_id, "space": space}
    facts = {name: value for name, value in given.items() if value is not None}
    if options.check_only:
        model = check_checkpoint(options.model)
        refuse_private(files_to_push(options.model))
        print(f"{options.model} is ready: {type(model).__name__}, {model.config.num_labels} labels.")
        print(card_difference(options.model, facts) or "Its README.md would stay as it is.")
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
