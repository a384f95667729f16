"""Find labels that are probably wrong: a page with pictures, and a table to decide in.

mlic audit --dataset photos/ --frozen true --backbone resnet50 --output_dir runs/audit
mlic audit --dataset photos/ --folds 5 --config photos.yaml --output_dir runs/audit
mlic audit --dataset photos/ --model runs/tagger --split test --output_dir runs/audit

Every image is scored by a model that has not seen its labels: linear heads on a frozen backbone, fitted without the
image's fold (--frozen); models trained without it, a job a fold; or a given model on a split that it was not trained
on (--model). Further flags are settings of the data and of the runs. audit.html shows the most suspicious cells of
both kinds, listed but unlikely and likely but not listed; corrections.csv ranks them all. Write 1, 0 or -1 (unknown)
into its column `correct`, and --data_options '{"corrections": "runs/audit/corrections.csv"}' takes what you decided.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from transformers.hf_argparser import string_to_bool

from mlic_hf.cli.numbers import positive


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mlic audit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--model", help="a saved model that has not seen the split; no folds then")
    parser.add_argument("--split", help="what is audited (default: the training split)")
    parser.add_argument(
        "--frozen",
        type=string_to_bool,
        metavar="true",
        help="heads on a frozen backbone instead of whole trainings",
    )
    parser.add_argument("--folds", type=positive, default=5, help="parts the images are cut in (default: 5)")
    parser.add_argument("--jobs", type=int, default=0, help="folds at once (default: one a GPU or core)")
    parser.add_argument("--most", type=positive, default=1000, help="cells of the table (default: 1000)")
    parser.add_argument("--images", type=positive, default=50, help="pictures of each kind (default: 50)")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    given, flags = make_parser().parse_known_args(arguments)
    from mlic_hf.cli.parsing import parse
    from mlic_hf.reports import audit_report
    from mlic_hf.runs.audit import scores_of_folds, scores_of_heads, scores_of_model, targets_of
    from mlic_hf.runs.data import load_data

    if given.model is not None and given.frozen:
        raise ValueError("--model is scored as it is and --frozen fits new heads; give one of the two.")
    if given.split is not None:
        flags += ["--train_split", given.split]
    settings = parse(__doc__ or "", "supervised", flags)
    data = load_data(settings.run)
    split, space = settings.run.train_split, data.labels
    if given.model is not None:
        scores, space = scores_of_model(given.model, settings, data, split)
    elif given.frozen:
        scores = scores_of_heads(settings, data, given.folds)
    else:
        scores = scores_of_folds(settings, data, given.folds, given.jobs)
    rows, targets = data.images(split, "split"), targets_of(data, split, space)
    folder = Path(settings.training.output_dir)
    title = f"{settings.run.dataset}, {split}: labels that are probably wrong"
    counts = audit_report(rows, space.names, scores, targets, folder, title, given.most, given.images)
    print(f"{len(rows)} pictures, {int((targets >= 0).sum())} cells that are known")
    print(f"listed but confidently unlikely: {int(counts.listed_unlikely.sum())}")
    print(f"confidently likely but not listed: {int(counts.unlisted_likely.sum())}")
    print(f"page: {folder / 'audit.html'}\ntable: {folder / 'corrections.csv'}")
