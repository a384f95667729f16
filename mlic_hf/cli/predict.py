"""Labels with scores for pictures; to the screen, to a JSONL or CSV file, or in shards for millions of them.

mlic predict --model runs/digit_scenes_l2d/student photo.jpg 'holiday/*.jpg' --output tags.jsonl
mlic predict --model runs/digit_scenes_oass --boxes drawn photo.jpg
mlic predict --model runs/tagger/student pictures.csv 'crawl/*.tar' --output tags/ --num_workers 8 --embeddings
mlic predict --model runs/tagger/student hub:owner/name --split test --output tags/ --num_workers 8
accelerate launch --num_processes 4 training_scripts/predict.py --model MODEL photos/ --output tags/ --resume

A picture that cannot be read gets one line with the reason, and the others their labels. A file of tags appears when
it is whole; until then its rows lie in OUTPUT.partial, from which --resume goes on. A folder of tags is filled with
shards, each of which is whole or not there; --resume writes those that are missing. Every process of `accelerate
launch` writes shards of its own, on its own GPU where there are any.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mlic_hf.cli.numbers import finite, positive


def parse_arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "images",
        nargs="+",
        help="files, folders (searched through), quoted globs, lists (.txt, a path a line), tables (.csv, .tsv, "
        ".jsonl, .parquet), WebDataset .tar files, hub:owner/name",
    )
    parser.add_argument("--model", required=True, help="folder of a saved model, or a Hub repository")
    parser.add_argument("--column", help="of a table, where the pictures are; else image, file_name, file or path")
    parser.add_argument("--split", help="of a data set on the Hub; else all of its pictures")
    parser.add_argument(
        "--threshold", type=finite, help="one threshold for all labels; else the model's own, else 0.5"
    )
    parser.add_argument(
        "--calibrated", action="store_true", help="show calibrated probabilities; the model's own thresholds stay"
    )
    parser.add_argument(
        "--top_k", type=positive, help="the k highest labels of an image instead of those above a threshold"
    )
    parser.add_argument("--output", type=Path, help="a .jsonl or .csv file, or a folder of shards; else the screen")
    parser.add_argument("--format", choices=("parquet", "jsonl"), default="parquet", help="of shards")
    parser.add_argument("--shard_size", type=positive, default=10_000, help="pictures a shard (default: 10,000)")
    parser.add_argument("--resume", action="store_true", help="go on with the output of a run that was stopped")
    parser.add_argument(
        "--embeddings", action="store_true", help="also a vector a picture, for search: its dot products are cosines"
    )
    parser.add_argument("--strict", action="store_true", help="exit status 1 when a picture could not be read")
    parser.add_argument("--boxes", type=Path, metavar="FOLDER", help="draw a box and a key point a label")
    parser.add_argument("--batch_size", type=positive, default=32, help="images at once (default: 32)")
    parser.add_argument("--num_workers", type=int, default=0, help="processes that read pictures (default: 0)")
    parser.add_argument("--json", action="store_true", help="show a line of JSON a picture, as in a .jsonl file")
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
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
    from mlic_hf.runs.picture_sources import find_pictures
    from mlic_hf.runs.tag_file import ENDINGS
    from mlic_hf.runs.tagging import box_files

    output = arguments.output
    in_shards = output is not None and output.suffix.lower() not in ENDINGS
    if in_shards and output.suffix and not output.is_dir():
        raise ValueError(f"--output is {output}; a .jsonl or .csv file was expected, or a folder for shards.")
    if output is None and (arguments.resume or arguments.embeddings):
        flag = "--resume goes on with a file" if arguments.resume else "--embeddings are no reading for a screen"
        raise ValueError(f"{flag}; give it with --output.")
    pictures = find_pictures(arguments.images, arguments.column, arguments.split)
    model = load_saved(arguments.model, "model").eval()
    boxes = None if arguments.boxes is None else box_files(pictures, arguments.boxes)
    how = {name: getattr(arguments, name) for name in ("threshold", "top_k", "calibrated", "embeddings")}
    settings = {"model": arguments.model, "boxes": arguments.boxes and str(arguments.boxes), **how}
    how |= {"batch_size": arguments.batch_size, "num_workers": arguments.num_workers, "boxes": boxes}
    if in_shards:
        broken, count = to_shards(model, pictures, how, settings, arguments)
    else:
        broken, count = to_file_or_screen(model, pictures, how, settings, arguments)
    if broken:
        print(f"{broken} of {count} images could not be read", file=sys.stderr)
    if broken and arguments.strict:
        raise SystemExit(1)


def to_file_or_screen(
    model: Any, pictures: Sequence[Any], how: dict[str, Any], settings: dict[str, Any], arguments: argparse.Namespace
) -> tuple[int, int]:
    """Tag, and write rows as they come; the broken pictures and all."""
    import torch
    from tqdm import tqdm

    from mlic_hf.runs.tag_file import TagFile, line_of
    from mlic_hf.runs.tagging import tag

    model.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    output = None if arguments.output is None else TagFile(arguments.output, settings, arguments.resume)
    named = {picture.name for picture in pictures}
    done = {} if output is None else output.rows
    left = [picture for picture in pictures if picture.name not in done]
    broken = sum(row.file in named and row.error is not None for row in done.values())
    rows = tag(model, left, **how)
    for tagged in rows if output is None else progress(rows, len(left), arguments.quiet):
        if tagged.error is not None:
            broken += 1
            tqdm.write(f"{printable(tagged.file)}: error: {printable(tagged.error)}", file=sys.stderr)  # above the bar
        if output is not None:
            output.add(tagged)
        elif arguments.json:
            print(line_of(tagged.as_row()), end="", flush=True)
        elif tagged.error is None:
            said = ", ".join(f"{x['label']} {x['score']:.3f}" for x in tagged.labels) or "no label"
            print(f"{printable(tagged.file)}: {printable(said)}")
    if output is not None:
        output.finish(picture.name for picture in pictures)
        if not arguments.quiet:
            print(f"{len(pictures)} images written to {printable(str(arguments.output))}", file=sys.stderr)
    return broken, len(pictures)


def to_shards(
    model: Any, pictures: Sequence[Any], how: dict[str, Any], settings: dict[str, Any], arguments: argparse.Namespace
) -> tuple[int, int]:
    """Tag what this process still has to; the broken pictures and all that it tagged."""
    import torch
    from accelerate import PartialState

    from mlic_hf.runs.tag_shards import TagShards
    from mlic_hf.runs.tagging import tag

    state = PartialState(cpu=not torch.cuda.is_available())
    shards = TagShards(arguments.output, pictures, settings, arguments.shard_size, arguments.format)
    with state.main_process_first():  # the others find a folder that was begun
        shards.begin(arguments.resume or not state.is_main_process)
    left = shards.left(state.process_index, state.num_processes)
    todo = shards.pictures_of(left)
    rows = shards.write(left, tag(model.to(state.device), todo, **how))
    broken = 0
    quiet = arguments.quiet or not state.is_main_process
    for tagged in progress(rows, len(todo), quiet):
        broken += tagged.error is not None
    state.wait_for_everyone()
    if state.is_main_process and not arguments.quiet:
        where = printable(str(arguments.output))
        print(f"{len(pictures)} images in {shards.count} shards in {where}", file=sys.stderr)
    return broken, len(todo)


def progress(rows: Iterator[Any], total: int, quiet: bool) -> Iterator[Any]:
    """The rows, with a bar on the error stream: pictures a second, and how many cannot be read."""
    from tqdm import tqdm

    broken = 0
    slow = 0.1 if sys.stderr.isatty() else 30.0  # seconds between two lines of a log
    with tqdm(total=total, unit=" images", mininterval=slow, disable=quiet, dynamic_ncols=True) as bar:
        for row in rows:
            if row.error is not None:
                broken += 1
                bar.set_postfix(broken=broken, refresh=False)
            yield row
            bar.update()
