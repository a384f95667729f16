"""Draws docs/images/overview.png: a scene, what a teacher says of it, and what the student that learnt from it says.

    python docs/images/overview.py --teacher runs/digit_scenes_l2d/teacher --student runs/digit_scenes_l2d/student

The folders are those of `make distill`, or runs/teacher and runs/student of the notebook on distillation.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.patches import ConnectionPatch
from transformers import AutoImageProcessor, AutoModelForImageClassification

import mlic_hf  # noqa: F401  (transformers' Auto classes know the models)
from dataset_builders import load_splits


def scores(folder: str, picture: Any) -> tuple[dict[str, float], str]:
    """A model's score of each label, and its size in words."""
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    pixels = AutoImageProcessor.from_pretrained(folder)(picture, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        found = model(pixels).logits[0].sigmoid().tolist()
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    return dict(zip(model.label_names, found)), f"{millions:.1f} M parameters, {pixels.shape[-1]} pixels"


def bars(place: Any, folder: str, scene: dict[str, Any], there: set[str], title: str) -> None:
    """The scores as bars: blue for what is on the picture, grey for what is not."""
    found, size = scores(folder, scene["image"])
    place.barh(
        list(found), list(found.values()), color=["tab:blue" if name in there else "lightgrey" for name in found]
    )
    place.axvline(0.5, color="black", linewidth=0.8)
    place.set(xlim=(0, 1), xlabel="score")
    place.invert_yaxis()
    place.set_title(f"{title}\n{size}", fontsize=11)


def arrow(left: Any, right: Any, text: str) -> None:
    """An arrow from one drawing to the next, with what it stands for."""
    line: dict[str, Any] = {"coordsA": "axes fraction", "coordsB": "axes fraction", "axesA": left, "axesB": right}
    right.add_artist(
        ConnectionPatch((1.03, 0.5), (-0.3, 0.5), arrowstyle="-|>", mutation_scale=22, linewidth=2, **line)
    )
    right.text(-0.46, 0.56, text, transform=right.transAxes, ha="center", fontsize=9)


def draw(teacher: str, student: str, number: int, output: Path) -> None:
    """Write the picture of a scene of the test split."""
    scenes = load_splits("digit_scenes", train_images=1, validation_images=1, test_images=number + 1)["test"]
    names, scene = scenes.features["labels"].feature.names, scenes[number]
    there = {names[label] for label in scene["labels"]}
    figure, places = plt.subplots(1, 3, figsize=(11.5, 3.7), width_ratios=(1.05, 1, 1))
    figure.subplots_adjust(left=0.01, right=0.985, top=0.84, bottom=0.13, wspace=0.62)
    places[0].imshow(scene["image"], interpolation="bicubic")
    places[0].set_title("a picture with several labels:\n" + ", ".join(sorted(there, key=names.index)), fontsize=11)
    places[0].axis("off")
    bars(places[1], teacher, scene, there, "the teacher")
    bars(places[2], student, scene, there, "the student that learns from it")
    arrow(places[0], places[1], "training")
    arrow(places[1], places[2], "distilling")
    figure.savefig(output, dpi=100)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="runs/digit_scenes_l2d/teacher")
    parser.add_argument("--student", default="runs/digit_scenes_l2d/student")
    parser.add_argument("--scene", type=int, default=71, help="its number in the test split (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".png"))
    given = parser.parse_args()
    draw(given.teacher, given.student, given.scene, given.output)
