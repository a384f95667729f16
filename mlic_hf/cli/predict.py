"""Labels with scores for a file, a folder or a glob of images; to the screen, JSONL or CSV.

mlic predict --model runs/digit_scenes_l2d/student photo.jpg 'holiday/*.jpg' --output tags.jsonl
mlic predict --model runs/digit_scenes_oass --boxes drawn photo.jpg

A picture that cannot be read gets one line with the reason, and the others their labels. The output appears when it
is whole; until then its rows lie in OUTPUT.partial, from which --resume goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mlic_hf.cli.numbers import finite, positive


def parse_arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", help="files, folders (searched through) or quoted globs")
    parser.add_argument("--model", required=True, help="folder of a saved model, or a Hub repository")
    parser.add_argument(
        "--threshold", type=finite, help="one threshold for all labels; else the model's own, else 0.5"
    )
    parser.add_argument(
        "--top_k", type=positive, help="the k highest labels of an image instead of those above a threshold"
    )
    parser.add_argument("--output", type=Path, help="a .jsonl or .csv file; the screen without it")
    parser.add_argument("--resume", action="store_true", help="go on with the output of a run that was stopped")
    parser.add_argument("--strict", action="store_true", help="exit status 1 when a picture could not be read")
    parser.add_argument(
        "--boxes", type=Path, metavar="FOLDER", help="draw a box and a key point a label; needs class maps"
    )
    parser.add_argument("--batch_size", type=positive, default=32, help="images at once (default: 32)")
    parser.add_argument("--traceback", metavar="true", help="show the traceback of an error")
    return parser.parse_args(given)


def printable(text: str) -> str:
    """The text on one line of the screen: what cannot be shown there is escaped."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    encoding = sys.stdout.encoding or "utf-8"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def main(given: Sequence[str] | None = None) -> None:
    arguments = parse_arguments(given)
    from mlic_hf.methods.saved_model import load_saved
    from mlic_hf.runs.tag_file import TagFile, check_ending
    from mlic_hf.runs.tagging import box_files, find_images, tag

    if arguments.output is not None:
        check_ending(arguments.output)
    elif arguments.resume:
        raise ValueError("--resume goes on with a file; give it with --output.")
    files = find_images(arguments.images)
    model = load_saved(arguments.model, "model").eval()
    import torch

    model.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    boxes = None if arguments.boxes is None else box_files(files, arguments.boxes)
    choice = {"threshold": arguments.threshold, "top_k": arguments.top_k}
    output = None
    if arguments.output is not None:
        settings = {"model": arguments.model, "boxes": arguments.boxes and str(arguments.boxes), **choice}
        output = TagFile(arguments.output, settings, arguments.resume)
    named = set(map(str, files))
    left = files if output is None else [path for path in files if str(path) not in output.rows]
    broken = 0 if output is None else sum(row.file in named and row.error is not None for row in output.rows.values())
    for tagged in tag(model, left, **choice, batch_size=arguments.batch_size, boxes=boxes):
        if tagged.error is not None:
            broken += 1
            print(f"{printable(tagged.file)}: error: {printable(tagged.error)}", file=sys.stderr)
        if output is not None:
            output.add(tagged)
        elif tagged.error is None:
            said = ", ".join(f"{x['label']} {x['score']:.3f}" for x in tagged.labels) or "no label"
            print(f"{printable(tagged.file)}: {printable(said)}")
    if output is not None:
        output.finish(map(str, files))
        print(f"{len(files)} images written to {printable(str(arguments.output))}", file=sys.stderr)
    if broken:
        print(f"{broken} of {len(files)} images could not be read", file=sys.stderr)
    if broken and arguments.strict:
        raise SystemExit(1)
