"""Ask the teacher once: keep its answers for the training images on disk, to distil from without the teacher.

mlic cache --config voc2007/l2d --teacher runs/teacher --views 4 --output_dir caches/voc
mlic distill --config voc2007/l2d --teacher_cache caches/voc --output_dir runs/student
accelerate launch -m mlic_hf.cli cache --config ... --teachers runs/teachers --method psd --output_dir caches/psd

mlic cache --dataset voc2007 --unlabelled photographs/ --answers tagger.parquet --answers_are probabilities \\
    --output_dir caches/tagger

The flags of the run that shall be taught (or its --config) say which images, in which transform, size and seed of
the draws; epoch e of that run shows view e mod V of every image. What is there already is not computed again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from transformers.hf_argparser import string_to_bool


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mlic cache",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Further flags are settings of the run: `mlic distill --help`.",
        allow_abbrev=False,
    )
    parser.add_argument("--views", default="1", help="draws of each image, or all: one an epoch (default: 1)")
    parser.add_argument(
        "--contents",
        default="logits",
        help="comma-separated, of logits, label_embeddings, class_maps, pooled (default: logits)",
    )
    parser.add_argument("--dtype", default="float16", help="float32, float16, bfloat16 or int8 (default: float16)")
    parser.add_argument("--top_k", type=int, help="keep the k largest logits of an image (default: all)")
    parser.add_argument("--max_gb", type=float, help="the most it may take; embeddings are dropped before logits")
    parser.add_argument("--answers", help="keep a tagger's answers instead: a .parquet or .csv table (docs)")
    parser.add_argument("--answers_are", default="logits", help="logits or probabilities (default: logits)")
    parser.add_argument("--dry_run", type=string_to_bool, metavar="true", help="tell the size and write nothing")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    given, flags = make_parser().parse_known_args(arguments)
    from mlic_hf.cli.parsing import parse
    from mlic_hf.runs.teacher_cache import Wish, keep_table, make_cache

    settings = parse(__doc__ or "", "l2d", flags)
    if given.answers is not None:
        print(keep_table(settings, given.answers, given.answers_are, given.dtype))
        return

    if given.views != "all" and not given.views.isdigit():
        raise ValueError(f"--views is {given.views!r}; a number was expected, or all.")
    wish = Wish(
        views=None if given.views == "all" else int(given.views),
        contents=[name.strip() for name in given.contents.split(",")],
        dtype=given.dtype,
        top_k=given.top_k,
        max_gb=given.max_gb,
        dry_run=bool(given.dry_run),
    )
    make_cache(settings, wish)
