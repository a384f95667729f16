"""One HTML page on how good a model is: every label, curves, calibration, and the pictures it is most wrong about.

mlic report --model runs/digit_scenes_l2d/student --dataset digit_scenes --split test --output report.html
mlic report --model A --compare B --dataset photos/ --split validation --output report.html

The page holds all of its pictures and loads nothing. --compare tells the difference of two models with intervals.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from mlic_hf.cli.numbers import finite, positive


def parse_arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a saved model, or a Hub repository")
    parser.add_argument("--compare", help="a second model for the same labels")
    parser.add_argument("--dataset", default="digit_scenes", help="a data set: name, folder, table, hub:owner/name")
    parser.add_argument("--data_dir", help="where the data set lies")
    parser.add_argument("--data_options", type=json.loads, default={}, help="its options, as JSON (docs/datasets.md)")
    parser.add_argument("--split", default="validation", help="the split that is evaluated (default: validation)")
    parser.add_argument("--output", type=Path, required=True, help="the HTML file")
    parser.add_argument("--images", type=positive, default=24, help="pictures that are shown (default: 24)")
    parser.add_argument("--batch_size", type=positive, default=128, help="images at once (default: 128)")
    parser.add_argument("--num_workers", type=int, default=0, help="processes that load images (default: 0)")
    parser.add_argument(
        "--threshold", type=finite, help="one threshold for all labels; else the model's own, else 0.5"
    )
    parser.add_argument("--resamples", type=positive, default=1000, help="bootstrap resamples of an interval")
    parser.add_argument("--traceback", metavar="true", help="show the traceback of an error")
    arguments = parser.parse_args(given)
    arguments.on_bad_image = "raise"  # every picture has its row on the page
    return arguments


def main(given: Sequence[str] | None = None) -> None:
    arguments = parse_arguments(given)
    from mlic_hf.cli.evaluate import score
    from mlic_hf.data import LabelSpace
    from mlic_hf.data.multi_label_dataset import undecoded
    from mlic_hf.reports.evaluation_page import write_evaluation_page
    from mlic_hf.runs.data import label_counts, load_data
    from mlic_hf.runs.options import RunOptions

    data = load_data(
        RunOptions(dataset=arguments.dataset, data_dir=arguments.data_dir, data_options=arguments.data_options)
    )
    scores, targets, model, _ = score(arguments.model, data, arguments)
    space = LabelSpace.from_config(model.config)
    compare = {}
    if arguments.compare:
        other, _, second, _ = score(arguments.compare, data, arguments)
        compare[arguments.compare] = other[:, LabelSpace.from_config(second.config).positions(space.names)]
    write_evaluation_page(
        arguments.output,
        f"{arguments.model} on {arguments.split} of {arguments.dataset}",
        scores,
        targets,
        space.names,
        undecoded(data.images(arguments.split, "split")),
        thresholds=model.config.thresholds if arguments.threshold is None else arguments.threshold,
        train_counts=label_counts(data, space) if "train" in data.splits else None,
        compare=compare,
        resamples=arguments.resamples,
        images=arguments.images,
    )
    print(f"page: {arguments.output}")
