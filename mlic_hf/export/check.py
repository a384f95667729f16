"""Does the file say what the checkpoint says? Asked on real pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mlic_hf.modeling import MultiLabelImageProcessor, MultiLabelModel
from mlic_hf.pictures.image_reading import read_image
from mlic_hf.pictures.onnx_tagger import OnnxTagger

# scores of float32 and float16 that are further from the checkpoint's than this are another model's
LARGEST = {"float32": 1e-3, "float16": 2e-2}


@dataclass(frozen=True)
class Difference:
    """How far the scores of a file lie from those of its checkpoint, over `pictures` pictures and all labels.

    Attributes:
        pictures: how many were looked at.
        largest, mean: absolute difference of a score.
        decisions: share of the decisions at the thresholds that differ.
    """

    pictures: int
    largest: float
    mean: float
    decisions: float

    def __str__(self) -> str:
        return (
            f"scores on {self.pictures} pictures differ from the checkpoint's by {self.largest:.2g} at most, "
            f"{self.mean:.2g} on average; {100 * self.decisions:.2f} % of the decisions differ"
        )


@torch.inference_mode()
def checkpoint_scores(model: MultiLabelModel, pictures: Sequence[Any], batch_size: int = 32) -> np.ndarray:
    """(B, C) scores of a model, each picture prepared by the model's own image processor.

    Args:
        model: in evaluation mode.
        pictures: paths, bytes or Pillow images.
        batch_size: pictures at once.
    """
    processor = MultiLabelImageProcessor.for_model(model)
    rows = []
    for start in range(0, len(pictures), batch_size):
        read = [read_image(p, str(start + i)) for i, p in enumerate(pictures[start : start + batch_size])]
        pixels = processor(read, return_tensors="pt")["pixel_values"].to(model.device)
        rows.append(model(pixels).logits.double().sigmoid().cpu().numpy())
    return np.concatenate(rows)


def check_exported(
    tagger: OnnxTagger, model: MultiLabelModel, pictures: Sequence[Any], precision: str = "float32"
) -> Difference:
    """Hold an exported file against its model.

    Args:
        tagger: of the file.
        model: the checkpoint, in evaluation mode.
        pictures: paths or Pillow images, real ones.
        precision: "float32", "float16" or "int8"; of int8 the difference is told, not judged.

    Raises:
        ValueError: there is no picture; a score is not finite or further off than the precision explains.
    """
    if not pictures:
        raise ValueError("There is no picture to hold the file against its checkpoint.")
    wanted, found = checkpoint_scores(model, pictures), tagger.scores(list(pictures))
    gap = np.abs(found - wanted)
    thresholds = np.asarray(model.config.thresholds or 0.5)
    flipped = (found >= thresholds) != (wanted >= thresholds)
    difference = Difference(len(pictures), float(gap.max()), float(gap.mean()), float(flipped.mean()))
    if not np.isfinite(found).all() or difference.largest > LARGEST.get(precision, 1.0):
        raise ValueError(
            f"The {precision} file does not say what its checkpoint says: {difference}; expected "
            f"{LARGEST.get(precision, 1.0)} at most."
        )
    return difference
