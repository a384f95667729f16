"""A model of other photographs for new labels: rows kept by name against a fresh head, the table of docs/results.md.

    python -m benchmarks.new_labels --old_data mirflickr --new_data corel5k \\
        --weights tf_efficientnet_lite2.safetensors --output_dir runs/new_labels

A data folder holds train/ with metadata.jsonl (file_name, labels). A linear head learns the old data on the pooled
features of a frozen backbone (a tenth validates). Of the new data 65 % train, 20 % validate, 15 % test; of the
training part 100, 500 and all images are taken. The new head begins fresh, or with the rows, by name, of the labels
that both have. Rate and epoch are chosen on validation, the rate with seed 0; so a fresh head has as many tries.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.photographs import Part, load_part, names_of, predict, train_head
from mlic_hf.data import stateless_generator, stratified_split
from mlic_hf.metrics import average_precision
from mlic_hf.modeling import LinearForImageClassification

SEEDS = (0, 1, 2)
RATES = (3e-4, 1e-3, 3e-3)
SIZES = {100: 60, 500: 30, None: 20}  # training images (None: all) -> epochs
HEADS = ("fresh head", "rows by name")


def begin(head: str, old: Any, names: list[str], options: dict[str, Any], seed: int) -> Any:
    """A model for the new labels whose head begins in one of the ways."""
    torch.manual_seed(seed)
    if head == "fresh head":
        return LinearForImageClassification.from_timm(labels=names, **options)
    model = copy.deepcopy(old)
    model.set_labels(names)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old_data", type=Path, required=True)
    parser.add_argument("--new_data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="of the backbone, .safetensors")
    parser.add_argument("--backbone", default="tf_efficientnet_lite2")
    parser.add_argument("--image_size", type=int, default=128)
    parser.add_argument("--output_dir", type=Path, required=True)
    told = parser.parse_args()
    options = {"backbone": told.backbone, "image_size": told.image_size, "pretrained": str(told.weights)}
    parts: dict[str, Part] = {}
    names: dict[str, list[str]] = {}
    for which, data in (("old", told.old_data), ("new", told.new_data)):
        names[which] = names_of(data / "train")
        frozen = LinearForImageClassification.from_timm(labels=names[which], **options)
        cache = told.output_dir / f"{data.name}_{told.backbone}_{told.image_size}"
        parts[which] = load_part(data / "train", names[which], frozen, cache).pooled()
    options["pretrained"] = False
    shared = [place for place, name in enumerate(names["new"]) if name in names["old"]]

    taught, checked = stratified_split(parts["old"].labels, len(names["old"]), [0.9, 0.1])
    torch.manual_seed(0)
    old = LinearForImageClassification.from_timm(labels=names["old"], **options)
    score = train_head(old, parts["old"].rows(taught), parts["old"].rows(checked), 1e-3, 10, 0)
    print(f"{told.old_data.name}: {score:.2f} on validation; {len(shared)} labels in both", flush=True)

    cuts = stratified_split(parts["new"].labels, len(names["new"]), [0.65, 0.2, 0.15])
    train, validation, test = (parts["new"].rows(cut) for cut in cuts)
    rows = []
    for size, epochs in SIZES.items():
        for head in HEADS:
            tried = {}
            for rate in RATES:
                model = begin(head, old, names["new"], options, 0)
                some = train.rows(taken(len(train.labels), size, 0))
                tried[rate] = train_head(model, some, validation, rate, epochs, 0)
            rate = max(tried, key=lambda one: tried[one])
            for seed in SEEDS:
                model = begin(head, old, names["new"], options, seed)
                some = train.rows(taken(len(train.labels), size, seed))
                train_head(model, some, validation, rate, epochs, seed)
                precisions = average_precision(predict(model, test), test.labels.numpy())
                told_of = {"size": len(some.labels), "head": head, "seed": seed, "rate": rate}
                told_of |= {"all": percent(precisions), "shared": percent(precisions[shared])}
                rows.append(told_of)
                print(told_of, flush=True)
                (told.output_dir / "rows.json").write_text(json.dumps(rows, indent=1))
    table = "\n".join(table_of(rows))
    (told.output_dir / "table.md").write_text(table + "\n")
    print(table)


def taken(images: int, size: int | None, seed: int) -> np.ndarray:
    """The rows of a draw of some images."""
    order = stateless_generator("taken", seed).permutation(images)
    return np.sort(order[: size or images])


def percent(precisions: np.ndarray) -> float:
    """The mean over labels that have a picture."""
    return 100 * float(np.nanmean(precisions))


def table_of(rows: list[dict[str, Any]]) -> list[str]:
    """A line a size and head: mAP of all labels and of the shared ones, mean and standard deviation over seeds."""
    lines = ["| images | head | mAP, all labels | s.d. | mAP, shared labels | s.d. |", "|---|---|---|---|---|---|"]
    for size, head in dict.fromkeys((row["size"], row["head"]) for row in rows):
        of = [row for row in rows if (row["size"], row["head"]) == (size, head)]
        cells = [f"{f([row[key] for row in of]):.1f}" for key in ("all", "shared") for f in (np.mean, spread)]
        lines.append(f"| {size} | {head} | {' | '.join(cells)} |")
    return lines


def spread(values: list[float]) -> float:
    return float(np.std(values, ddof=1))


if __name__ == "__main__":
    main()
