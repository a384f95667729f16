"""Evaluate a saved model: a table on the screen; JSON, CSV and pictures in a folder.

mlic evaluate --model runs/digit_scenes_l2d/student --dataset digit_scenes --split test \\
    --output_dir runs/evaluation
mlic evaluate --model A --compare B --dataset digit_scenes   # paired difference of two models
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlic_hf.cli.numbers import finite, positive


def parse_arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a saved model, or a Hub repository")
    parser.add_argument("--compare", help="a second model; its paired difference in mAP is told with an interval")
    parser.add_argument("--dataset", default="digit_scenes", help="a data set: name, folder, table, hub:owner/name")
    parser.add_argument("--data_dir", help="where the data set lies")
    parser.add_argument("--data_options", type=json.loads, default={}, help="its options, as JSON (docs/datasets.md)")
    parser.add_argument(
        "--streaming", action="store_true", help="read parquet or tar shards, or a Hub data set, without a copy"
    )
    parser.add_argument("--split", default="test", help="the split that is evaluated (default: test)")
    parser.add_argument(
        "--on_bad_image",
        choices=("raise", "skip"),
        default="raise",
        help="raise names all pictures that cannot be read and stops (default); skip leaves them out, counted",
    )
    parser.add_argument("--batch_size", type=positive, default=128, help="images at once (default: 128)")
    parser.add_argument("--num_workers", type=int, default=0, help="processes that load images (default: 0)")
    parser.add_argument(
        "--threshold", type=finite, help="one threshold for all labels; else the model's own, else 0.5"
    )
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples of an interval; 0 for none")
    parser.add_argument("--output_dir", required=True, help="folder for metrics.json, per_label.csv and pictures")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of tables")
    parser.add_argument("--traceback", metavar="true", help="show the traceback of an error")
    return parser.parse_args(given)


def score(folder: str, data: Any, arguments: argparse.Namespace) -> tuple[Any, Any, Any, list[str]]:
    """Scores (N, C), targets (N, C), the model, and a sentence for every picture that was left out.

    The labels are those of the model, matched by name; the data set may have more.
    """
    import torch

    from mlic_hf.data import LabelSpace, TransformConfig, build_transform, examples_of
    from mlic_hf.methods.saved_model import load_saved
    from mlic_hf.methods.views import PixelSpec
    from mlic_hf.runs.scoring import score_images

    model = load_saved(folder, "model").eval()
    pixels = PixelSpec.of_model(model)
    transform = TransformConfig(kind="eval", **vars(pixels))
    images = examples_of(
        data.images(arguments.split, "split"), LabelSpace.from_config(model.config), build_transform(transform)
    )
    model.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    skip = arguments.on_bad_image == "skip"
    scores, targets, left_out = score_images(model, images, arguments.batch_size, arguments.num_workers, skip)
    return scores, targets, model, left_out


def tell_calibration(scores: Any, targets: Any, calibration: Any, folder: Path) -> None:
    """Print the calibration error of the scores, plain and with the model's calibration, and draw both."""
    import numpy as np

    from mlic_hf.metrics import apply_calibration, calibration_error
    from mlic_hf.reports import draw_reliability

    with np.errstate(divide="ignore"):  # a score of 0 or 1 has an infinite logit, which calibration leaves there
        both = {"plain": scores, "calibrated": apply_calibration(np.log(scores) - np.log1p(-scores), calibration)}
    draw_reliability(both, targets, folder / "reliability.png")
    told = ", ".join(f"{100 * calibration_error(one, targets):.2f} % {name}" for name, one in both.items())
    print(f"calibration error: {told}")


def main(given: Sequence[str] | None = None) -> None:
    arguments = parse_arguments(given)
    if not arguments.json:
        measure(arguments)
        return
    with contextlib.redirect_stdout(sys.stderr):  # so that a program reads one object
        told = measure(arguments)
    print(json.dumps(told, ensure_ascii=False))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Print and write what the model reaches; the numbers, and what they are of."""
    from mlic_hf.data import LabelSpace
    from mlic_hf.metrics import paired_bootstrap_map
    from mlic_hf.reports import evaluation_report
    from mlic_hf.runs.data import label_counts, load_data
    from mlic_hf.runs.options import RunOptions

    data = load_data(
        RunOptions(
            dataset=arguments.dataset,
            data_dir=arguments.data_dir,
            data_options=arguments.data_options,
            streaming=arguments.streaming,
        )
    )
    scores, targets, model, left_out = score(arguments.model, data, arguments)
    for sentence in left_out:
        print(f"left out: {sentence}")
    space = LabelSpace.from_config(model.config)
    thresholds = model.config.thresholds if arguments.threshold is None else arguments.threshold
    counts = label_counts(data, space) if "train" in data.splits else None
    about = {
        "model": arguments.model,
        "dataset": arguments.dataset,
        "split": arguments.split,
        "images": len(scores),
        "images_left_out": len(left_out),
    }
    told: dict[str, Any] = dict(about)
    told["metrics"] = evaluation_report(
        scores,
        targets,
        space.names,
        Path(arguments.output_dir),
        train_counts=counts,
        thresholds=thresholds,
        resamples=arguments.resamples,
        about=about,
    )
    if model.config.calibration is not None:
        tell_calibration(scores, targets, model.config.calibration, Path(arguments.output_dir))
    if left_out:
        print(f"{len(left_out)} of {len(scores) + len(left_out)} pictures could not be read and were left out.")
    if arguments.compare:
        other, _, second, _ = score(arguments.compare, data, arguments)
        order = space.positions(LabelSpace.from_config(second.config).names)
        interval = paired_bootstrap_map(scores[:, order], other, targets[:, order])
        print(f"{arguments.model} against {arguments.compare}: {interval}")
        told["against"] = arguments.compare
        told["mAP_difference"] = {name: getattr(interval, name) for name in ("value", "low", "high")}
    return told
