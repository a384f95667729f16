"""How far students are from their teacher, on the photographs they learned from and on others.

python -m benchmarks.agreement --teacher runs/teacher --students runs/taught_l2d/mld_2/seed_* \\
    --config <recipe> --dataset <folder> --splits train validation

Further flags are settings of the runs. All see an image as in use, each model at its own size. Told are mAP against
the labels and MLD an image (the binary KL of teacher and student, summed over the labels), so the loss itself on
photographs of which the student was told the teacher's answers and on others. With `--sizes 64` the teacher also
answers for pictures of 64 px, enlarged to its own size: what it knows from the pixels that a student has.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from mlic_hf.cli.parsing import parse
from mlic_hf.losses import multi_label_logit_distillation
from mlic_hf.methods.saved_model import load_saved
from mlic_hf.methods.views import PixelSpec
from mlic_hf.metrics import mean_average_precision
from mlic_hf.runs.data import Data, evaluation_set, load_data
from mlic_hf.runs.scoring import score_images
from mlic_hf.runs.settings import Settings


class Enlarging(nn.Module):
    """A model that enlarges its pictures to its own size."""

    def __init__(self, model: nn.Module, size: int) -> None:
        super().__init__()
        self.model, self.size, self.device = model, size, model.device

    def forward(self, pixels: torch.Tensor) -> object:
        if pixels.shape[-1] != self.size:
            pixels = F.interpolate(pixels, (self.size, self.size), mode="bilinear", align_corners=False)
        return self.model(pixels)


def answers(
    folder: str, settings: Settings, data: Data, split: str, size: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(N, C) probabilities of a saved model, for pictures of `size` (None for its own), and (N, C) targets."""
    model = load_saved(folder, "model").eval()
    pixels = PixelSpec.of_model(model)
    shown = pixels if size is None else replace(pixels, image_size=size)
    images = evaluation_set(settings.run, data, shown, split, "splits")
    batch = settings.training.per_device_eval_batch_size
    scores, targets, _ = score_images(Enlarging(model, pixels.image_size), images, batch)
    return scores, targets


def divergence(student: np.ndarray, teacher: np.ndarray) -> float:
    """MLD of (N, C) probabilities an image, in nats."""
    told, asked = torch.from_numpy(student).logit(), torch.from_numpy(teacher).logit()
    return multi_label_logit_distillation(told, asked, reduction="batchmean").item()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", required=True, help="folder of the saved teacher")
    parser.add_argument("--students", nargs="+", required=True, help="folders of saved students")
    parser.add_argument("--splits", nargs="+", default=["train", "validation"], help="where they are compared")
    parser.add_argument("--sizes", nargs="*", type=int, default=[], help="pixels that the teacher is shown as well")
    given, flags = parser.parse_known_args(argv)
    settings = parse("", "supervised", flags)
    data = load_data(settings.run)
    for split in given.splits:
        asked, targets = answers(given.teacher, settings, data, split)
        sys.stdout.write(f"{split}: teacher {100 * mean_average_precision(asked, targets)[0]:.2f} mAP\n")
        others = [(f"teacher shown {size} px", given.teacher, size) for size in given.sizes]
        for name, folder, size in [*others, *((folder, folder, None) for folder in given.students)]:
            scores, _ = answers(folder, settings, data, split, size)
            known = 100 * mean_average_precision(scores, targets)[0]
            sys.stdout.write(f"{split}: {name} {known:.2f} mAP, MLD {divergence(scores, asked):.3g}\n")


if __name__ == "__main__":
    main()
