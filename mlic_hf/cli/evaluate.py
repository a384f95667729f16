"""Evaluate a saved model: a table on the screen; JSON, CSV and pictures in a folder.

mlic evaluate --model runs/digit_scenes_l2d/student --dataset digit_scenes --split test \\
    --output_dir runs/evaluation
mlic evaluate --model A --compare B --dataset digit_scenes   # paired difference of two models
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def parse_arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a saved model, or a Hub repository")
    parser.add_argument("--compare", help="a second model; its paired difference in mAP is told with an interval")
    parser.add_argument("--dataset", default="digit_scenes", help="data set by name, or a folder with metadata.jsonl")
    parser.add_argument("--data_dir", help="where the data set lies")
    parser.add_argument("--data_options", type=json.loads, default={}, help="options of its builder, as JSON")
    parser.add_argument("--split", default="test", help="the split that is evaluated (default: test)")
    parser.add_argument("--batch_size", type=int, default=128, help="images at once (default: 128)")
    parser.add_argument("--num_workers", type=int, default=0, help="processes that load images (default: 0)")
    parser.add_argument("--threshold", type=float, help="one threshold for all labels; else the model's own, else 0.5")
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples of an interval; 0 for none")
    parser.add_argument("--output_dir", required=True, help="folder for metrics.json, per_label.csv and pictures")
    parser.add_argument("--traceback", metavar="true", help="show the traceback of an error")
    return parser.parse_args(given)


def score(folder: str, arguments: argparse.Namespace) -> tuple[Any, Any, Any, Any]:
    """Scores (N, C), targets (N, C), the model and the loaded data, for one model.

    The images and labels are those of the model, matched by name; the data set may have more labels.
    """
    import torch
    from torch.utils.data import DataLoader

    from mlic_hf.data import LabelSpace, MultiLabelDataset, TransformConfig, build_transform, collate
    from mlic_hf.methods.views import PixelSpec
    from mlic_hf.runs.data import load_data
    from mlic_hf.runs.models import load_saved
    from mlic_hf.runs.options import RunOptions

    model = load_saved(folder, "model").eval()
    data = load_data(
        RunOptions(dataset=arguments.dataset, data_dir=arguments.data_dir, data_options=arguments.data_options)
    )
    pixels = PixelSpec.of_model(model)
    transform = TransformConfig(kind="eval", image_size=pixels.image_size, mean=pixels.mean, std=pixels.std)
    images = MultiLabelDataset(
        data.images(arguments.split, "split"), LabelSpace.from_config(model.config), build_transform(transform)
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    scores, targets = [], []
    loader = DataLoader(images, arguments.batch_size, collate_fn=collate, num_workers=arguments.num_workers)
    with torch.inference_mode():
        for batch in loader:
            scores.append(model(batch["pixel_values"].to(device)).logits.double().sigmoid().cpu())
            targets.append(batch["labels"])
    return torch.cat(scores).numpy(), torch.cat(targets).numpy(), model, data


def main(given: Sequence[str] | None = None) -> None:
    arguments = parse_arguments(given)
    from mlic_hf.data import LabelSpace
    from mlic_hf.metrics import paired_bootstrap_map
    from mlic_hf.reports import evaluation_report
    from mlic_hf.runs.data import label_counts

    scores, targets, model, data = score(arguments.model, arguments)
    space = LabelSpace.from_config(model.config)
    thresholds = model.config.thresholds if arguments.threshold is None else arguments.threshold
    counts = label_counts(data, space) if "train" in data.splits else None
    evaluation_report(
        scores,
        targets,
        space.names,
        Path(arguments.output_dir),
        train_counts=counts,
        thresholds=thresholds,
        resamples=arguments.resamples,
    )
    if arguments.compare:
        other, _, second, _ = score(arguments.compare, arguments)
        order = space.positions(LabelSpace.from_config(second.config).names)
        interval = paired_bootstrap_map(scores[:, order], other, targets[:, order])
        print(f"{arguments.model} against {arguments.compare}: {interval}")
