"""What a contrast does to label embeddings: those of images' true labels in two dimensions, and how they part.

python -m benchmarks.label_embeddings --models runs/without runs/with --titles "without contrast" "MulCon" \\
    --output docs/label_embeddings_mulcon.png --config <recipe> --dataset <folder> --feature_folder maps

Further flags are settings of the runs. Each point is the embedding (of unit length) of a label that an image of the
validation part truly has, on the first two principal components; told is the share of all their variance that lies
between the labels' means.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

from mlic_hf.cli.parsing import parse
from mlic_hf.data import collate
from mlic_hf.methods.saved_model import load_saved
from mlic_hf.methods.views import PixelSpec
from mlic_hf.reports.figure import figure, quiet_axes
from mlic_hf.runs.data import Data, evaluation_set, load_data
from mlic_hf.runs.fit import plain_features
from mlic_hf.runs.settings import Settings
from mlic_hf.training.examples import STARTS

SHOWN = 7  # labels, the most frequent ones


@torch.inference_mode()
def embeddings(folder: str, settings: Settings, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """(points, d) embeddings of unit length of the validation images' true labels, and (points,) which labels."""
    model = load_saved(folder, "model").eval()
    split = settings.run.eval_split
    images = evaluation_set(settings.run, data, PixelSpec.of_model(model), split, "eval_split")
    if settings.run.feature_views:
        images = plain_features(settings, data, model, images, split)
    found, labels = [], []
    for batch in DataLoader(images, settings.training.per_device_eval_batch_size, collate_fn=collate):
        start = {name: batch[name] for name in STARTS if name in batch}
        outputs = model(**start, output_label_embeddings=True)
        image, label = (batch["labels"] > 0).nonzero(as_tuple=True)
        found.append(F.normalize(outputs.label_embeddings[image, label].float(), dim=-1))
        labels.append(label)
    return torch.cat(found).numpy(), torch.cat(labels).numpy()


def parted(points: np.ndarray, labels: np.ndarray) -> float:
    """The share of the points' variance that lies between the means of their labels, in [0, 1]."""
    centred = points - points.mean(axis=0)
    between = sum((labels == label).sum() * (centred[labels == label].mean(axis=0) ** 2).sum() for label in {*labels})
    return float(between / (centred**2).sum())


def planar(points: np.ndarray) -> np.ndarray:
    """(points, 2) their first two principal components."""
    centred = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    return centred @ axes[:2].T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", required=True, help="folders of saved models")
    parser.add_argument("--titles", nargs="+", required=True, help="what stands above each picture")
    parser.add_argument("--output", type=Path, required=True, help="the PNG")
    given, flags = parser.parse_known_args()
    settings = parse("", "supervised", flags)
    data = load_data(settings.run)
    with figure(given.output, 5 * len(given.models), 4.2) as drawing:
        for axes, folder, title in zip(
            drawing.subplots(1, len(given.models), squeeze=False)[0], given.models, given.titles
        ):
            points, labels = embeddings(folder, settings, data)
            share = parted(points, labels)
            sys.stdout.write(
                f"{title}: {len(points)} embeddings, {100 * share:.1f} % of the variance between labels\n"
            )
            places = planar(points)
            frequent = np.argsort(-np.bincount(labels))[:SHOWN]
            for number, label in enumerate(frequent):
                own = places[labels == label]
                axes.plot(
                    own[:, 0], own[:, 1], ".", markersize=2.5, color=f"C{number}", label=data.labels.names[label]
                )
            axes.set(title=f"{title}: {100 * share:.0f} % between labels", xticks=[], yticks=[])
            quiet_axes(axes)
        axes.legend(markerscale=4, fontsize=8)


if __name__ == "__main__":
    main()
