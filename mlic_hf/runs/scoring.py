"""Scores of a model on a data set; pictures that cannot be read are all named, or left out and told."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mlic_hf.data import MultiLabelStream, collate
from mlic_hf.data.multi_label_dataset import UnreadableImage


class ReadableImages(Dataset):
    """The examples of a data set, and a sentence in the place of one whose picture cannot be read."""

    def __init__(self, images: Any) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any] | str:
        """The example, or the sentence; of a stream, of what its order gives."""
        try:
            return self.images[index]
        except UnreadableImage as error:
            return str(error)


def separate(rows: list[dict[str, Any] | str]) -> tuple[dict[str, Any] | None, list[str]]:
    """A batch of the examples (None without any), and the sentences."""
    examples = [row for row in rows if not isinstance(row, str)]
    return (collate(examples) if examples else None), [row for row in rows if isinstance(row, str)]


def score_images(
    model: Any, images: Any, batch_size: int, num_workers: int = 0, skip_broken: bool = False
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Scores and targets of all images that can be read.

    Args:
        model: in evaluation mode; runs where it lies.
        images: a `MultiLabelDataset` or a `MultiLabelStream`.
        batch_size: images at once.
        num_workers: processes that load images.
        skip_broken: leave out pictures that cannot be read.

    Returns:
        (N, C) float64 probabilities, (N, C) float32 targets, and a sentence for every picture left out.

    Raises:
        ValueError: pictures cannot be read and `skip_broken` is not set (all are named), or none can be read.
    """
    order = images.in_order() if isinstance(images, MultiLabelStream) else None
    readable = ReadableImages(images)
    loader = DataLoader(readable, batch_size, sampler=order, collate_fn=separate, num_workers=num_workers)
    scores, targets = [], []
    broken: list[str] = []
    with torch.inference_mode():
        for batch, sentences in loader:
            broken += sentences
            if batch is None or (broken and not skip_broken):
                continue  # the rest is only read, so that all broken pictures are named at once
            scores.append(model(batch["pixel_values"].to(model.device)).logits.double().sigmoid().cpu())
            targets.append(batch["labels"])
    if broken and (not skip_broken or not scores):
        listed = "\n".join(f"  {sentence}" for sentence in broken)
        raise ValueError(
            f"{len(broken)} of {len(images)} pictures cannot be read; mend them, or leave them out with "
            f"on_bad_image 'skip':\n{listed}"
        )
    return torch.cat(scores).numpy(), torch.cat(targets).numpy(), broken
