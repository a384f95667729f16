"""Do key points and boxes fall on the objects? Measured on saved models, against the boxes of a data set.

python -m benchmarks.pointing --models runs/with_oass runs/without_oass
python -m benchmarks.pointing --models runs/coco --dataset coco --data_dir ../shared/realdata/coco_mini \\
    --split validation --tolerance 15

A key point hits if it lies in a box of its label, or nearer to one than the tolerance in pixels of the picture (the
pointing game of Zhang et al. 2016 uses 15). Key points are taken for the labels that an image truly has, and once
more for those that the model predicts, where a label that is not there is a miss. A box hits if its intersection
over union with a box of its label is at least 0.5.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dataset_builders import load_splits
from mlic_hf.methods.saved_model import load_saved
from mlic_hf.metrics import multilabel_metrics
from mlic_hf.modeling import MultiLabelImageProcessor
from mlic_hf.modeling.class_maps_mlic import class_activation_maps, key_points
from mlic_hf.modeling.localize_mlic import places
from mlic_hf.modeling.predictions_mlic import label_thresholds

COLUMNS = (
    ("mAP", "mAP"),
    ("key_points", "key points of true labels"),
    ("per_label", "the same, mean over labels"),
    ("predicted", "key points of predicted labels"),
    ("boxes", "boxes of true labels, IoU 0.5"),
    ("centre", "image centre instead"),
)
Box = tuple[float, float, float, float]


def distance(point: tuple[float, float], box: Box) -> float:
    """How far a point lies outside a box, in pixels; 0 inside (the right and lower edge are outside)."""
    outside = [max(low - p, p - high, 0.0) for p, low, high in zip(point, box[:2], box[2:])]
    return float(np.hypot(*outside))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width, height = (max(0.0, min(one[i + 2], other[i + 2]) - max(one[i], other[i])) for i in (0, 1))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    both = width * height
    return both / max(1e-9, areas - both)


def batches(rows: Any, size: int) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(rows), size):
        yield [rows[index] for index in range(start, min(start + size, len(rows)))]


def key_points_of(maps: Tensor, size: tuple[int, int], rule: str) -> Tensor:
    """(N, 2) key points x, y of class maps (N, h, w)."""
    if rule == "cmax":
        return places(maps, size)[0]
    cams = class_activation_maps(maps.float()[:, None])
    return key_points(cams, cams.new_ones(len(cams), 1), size, rule)[:, 0].flip(1)


@dataclass(frozen=True)
class Looked:
    """What a model found on the images of a split.

    Attributes:
        scores: (images, labels) in [0, 1].
        targets: (images, labels) in {1, 0}.
        hits: kind -> (image, label, whether it hit) of every case.
    """

    scores: np.ndarray
    targets: np.ndarray
    hits: dict[str, list[tuple[int, int, bool]]]


def measure(model: Any, rows: Any, tolerance: float = 0.0, rule: str = "cmax") -> dict[str, float]:
    """Shares of hits of one model by the keys of `COLUMNS`; the arguments as of `look`."""
    looked = look(model, rows, tolerance, rule)
    shares = {key: float(np.mean([hit for *_, hit in cases] or [np.nan])) for key, cases in looked.hits.items()}
    by_label: dict[int, list[bool]] = {}
    for _, label, hit in looked.hits["key_points"]:
        by_label.setdefault(label, []).append(hit)
    per_label = float(np.mean([np.mean(found) for found in by_label.values()]))
    return {"mAP": multilabel_metrics(looked.scores, looked.targets)["mAP"], "per_label": per_label, **shares}


@torch.inference_mode()
def look(model: Any, rows: Any, tolerance: float = 0.0, rule: str = "cmax", batch_size: int = 32) -> Looked:
    """Where a model finds the labels that the images have, and those it predicts.

    Args:
        model: with class maps, in evaluation mode.
        rows: a split with the columns image, labels and boxes.
        tolerance: in pixels of the picture.
        rule: which key points: cmax, ctopk or ctopk_w.
        batch_size: images at once.

    """
    names = rows.features["labels"].feature.names
    position = {model.config.id2label[i]: i for i in range(model.config.num_labels)}
    column = [position[name] for name in names]
    processor = MultiLabelImageProcessor.for_model(model)
    hits: dict[str, list[tuple[int, int, bool]]] = {key: [] for key in ("key_points", "predicted", "boxes", "centre")}
    scores, targets = [], []
    for number, batch in enumerate(batches(rows, batch_size)):
        pixels = processor([row["image"] for row in batch], return_tensors="pt")["pixel_values"]
        outputs = model(pixels, output_class_maps=True)
        score, maps = outputs.logits.sigmoid()[:, column], outputs.class_maps[:, column]
        predicted = score >= label_thresholds(model.config, None)[column]
        size = (pixels.shape[2], pixels.shape[3])
        true = torch.zeros_like(predicted)
        for image, row in enumerate(batch):
            true[image, row["labels"]] = True
        wanted = true | predicted
        images, labels = wanted.nonzero(as_tuple=True)
        points, (_, found) = key_points_of(maps[wanted], size, rule), places(maps[wanted], size)
        for image, label, point, box in zip(images.tolist(), labels.tolist(), points.tolist(), found.tolist()):
            row = batch[image]
            across, down = row["image"].width / size[1], row["image"].height / size[0]
            objects = [tuple(entry["bbox"]) for entry in row["boxes"] if _name(entry, names) == names[label]]
            case = (number * batch_size + image, label)
            place = ((point[0] + 0.5) * across, (point[1] + 0.5) * down)
            hit = any(distance(place, corners) <= tolerance for corners in objects)
            if predicted[image, label]:
                hits["predicted"].append((*case, hit))
            if true[image, label] and objects:
                scaled = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
                centre = (row["image"].width / 2, row["image"].height / 2)
                hits["key_points"].append((*case, hit))
                hits["boxes"].append((*case, any(overlap(scaled, corners) >= 0.5 for corners in objects)))
                hits["centre"].append((*case, any(distance(centre, corners) <= tolerance for corners in objects)))
        scores.append(score)
        targets.append(true.float())
    return Looked(torch.cat(scores).double().numpy(), torch.cat(targets).numpy(), hits)


def _name(entry: dict[str, Any], names: Sequence[str]) -> str:
    return names[entry["label"]] if isinstance(entry["label"], int) else entry["label"]


def table(results: dict[str, dict[str, float]]) -> str:
    """A markdown table, a row a model."""
    lines = ["| model | " + " | ".join(title for _, title in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, shares in results.items():
        lines.append(f"| {name} | " + " | ".join(f"{100 * shares[key]:.1f}" for key, _ in COLUMNS) + " |")
    return "\n".join(lines) + "\n"


def asking(about: str | None) -> argparse.ArgumentParser:
    """What is asked of whoever wants to know where models look: the data, and what counts as a hit."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", required=True, help="folders of saved models")
    parser.add_argument("--dataset", default="digit_scenes", help="a data set whose builder yields boxes")
    parser.add_argument("--data_dir", help="where the data set lies")
    parser.add_argument("--split", default="test", help="the split that is measured (default: test)")
    parser.add_argument("--tolerance", type=float, default=0.0, help="pixels around a box that count (default: 0)")
    parser.add_argument("--rule", default="cmax", choices=("cmax", "ctopk", "ctopk_w"), help="which key points")
    return parser


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument("--limit", type=int, help="only the first images of the split")
    options = parser.parse_args()
    rows = load_splits(options.dataset, data_dir=options.data_dir, with_boxes=True)[options.split]
    if options.limit:
        rows = rows.select(range(min(options.limit, len(rows))))
    results = {
        folder: measure(load_saved(folder, "model").eval(), rows, options.tolerance, options.rule)
        for folder in options.models
    }
    sys.stdout.write(f"{options.dataset} {options.split}, {len(rows)} images, percent.\n\n{table(results)}")


if __name__ == "__main__":
    main()
