"""A baseline, variants of it and seeds in one file: train what is missing, tell what each variant gains.

mlic study mirflickr_l2d.yaml --dataset mirflickr --output_dir runs/study
mlic study mirflickr_l2d.yaml --dataset mirflickr --output_dir runs/study --test true    # once, at the end

The file names a `recipe` that all runs share, the `seeds`, what the `baseline` and each of the `variants` change in
it, and perhaps a `teacher`, trained once. Further flags are settings of all runs. Gains are measured on validation,
with the interval of a bootstrap over images and seeds together; the test split is scored only with --test.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from transformers.hf_argparser import string_to_bool


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mlic study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("study", help="the study's YAML file")
    parser.add_argument("--jobs", type=int, default=0, help="runs at once (default: one a GPU, or one a core without)")
    parser.add_argument(
        "--only_tell",
        type=string_to_bool,
        metavar="true",
        help="train nothing, tell what the runs that are there gain",
    )
    parser.add_argument(
        "--test",
        type=string_to_bool,
        metavar="true",
        help="score the test split too; choose on validation before",
    )
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap (default: 1000)")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    given, flags = make_parser().parse_known_args(arguments)
    from mlic_hf.cli.parsing import parse
    from mlic_hf.runs.data import load_data
    from mlic_hf.runs.study import jobs_of, read_study, train_missing

    study = read_study(given.study)
    settings = parse(__doc__ or "", "supervised", ["--config", study.recipe, *flags])
    first, runs = jobs_of(study, settings)
    if not given.only_tell:
        train_missing(first, runs, given.jobs)
    data = load_data(settings.run)
    splits = [settings.run.eval_split, *([settings.run.test_split or "test"] if given.test else [])]
    for split in splits:
        tell(runs, data, split, Path(settings.training.output_dir), given.resamples)


def tell(runs: dict[str, dict[int, Any]], data: Any, split: str, folder: Path, resamples: int) -> None:
    """Print the table of a split; write it, its numbers and its picture as study_<split>.md, .json and .png."""
    from mlic_hf.reports import draw_gains, gains_table, measure_gains
    from mlic_hf.runs.study import BASELINE, finished, scores_of

    scores: dict[str, dict[int, Any]] = {}
    logs: dict[str, list[dict[float, float]]] = {}
    targets = None
    for name, jobs in runs.items():
        for seed, job in jobs.items():
            found, told = scores_of(job, data, split), finished(job)
            if found is None or told is None:
                print(f"{job.name} is not finished.")
                continue
            scores.setdefault(name, {})[seed], targets = found
            history = {line["epoch"]: line["eval_mAP"] for line in told["log"] if "eval_mAP" in line}
            logs.setdefault(name, []).append(history)
    if targets is None:
        raise ValueError(f"No run of this study is finished in {folder}; leave --only_tell out to train them.")
    variants = measure_gains(scores, targets, BASELINE, resamples)
    histories = {
        name: {epoch: mean(log[epoch] for log in seeds if epoch in log) for epoch in seeds[0]}
        for name, seeds in logs.items()
    }
    table = f"{split}, {len(targets)} images\n\n{gains_table(variants)}"
    print(f"\n{table}")
    (folder / f"study_{split}.md").write_text(table + "\n", encoding="utf-8")
    numbers = {
        variant.name: {
            "mAP": variant.scores,
            "gain": None if variant.gain is None else [variant.gain.value, variant.gain.low, variant.gain.high],
        }
        for variant in variants
    }
    (folder / f"study_{split}.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    draw_gains(variants, histories, folder / f"study_{split}.png")
