"""A folder of labelled photographs as the maps of a frozen backbone, and a head trained on them."""

from __future__ import annotations

import argparse
import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mlic_hf.data import (
    LabelSpace,
    MultiLabelDataset,
    build_transform,
    compute_feature_maps,
    stateless_generator,
    transform_preset,
)
from mlic_hf.metrics import mean_average_precision

BATCH = 64


def asking(about: str | None) -> argparse.ArgumentParser:
    """What every benchmark on a frozen backbone asks for: the photographs, the backbone, a folder."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="of the backbone, .safetensors")
    parser.add_argument("--backbone", default="tf_efficientnet_lite2")
    parser.add_argument("--image_size", type=int, default=128)
    parser.add_argument("--output_dir", type=Path, required=True)
    return parser


@dataclass
class Part:
    """Maps (n, D, h, w), float16, and labels (n, C) of some photographs."""

    maps: np.ndarray
    labels: Tensor

    def rows(self, rows: np.ndarray) -> Part:
        return Part(self.maps[rows], self.labels[rows])

    def pooled(self) -> Part:
        """The mean over places, as maps of one."""
        means = [one.astype(np.float32).mean(axis=(1, 2), keepdims=True) for one in self.maps]
        return Part(np.stack(means), self.labels)

    def columns(self, columns: list[int]) -> Part:
        return Part(self.maps, self.labels[:, columns])


def load_part(folder: Path, names: list[str], model: Any, cache: Path) -> Part:
    """What a model's backbone makes of a folder's photographs as evaluation prepares them, computed once.

    Args:
        folder: with metadata.jsonl (file_name, labels).
        names: the labels, in the order of the columns.
        model: whose backbone is frozen.
        cache: where the maps are kept.
    """
    listed = [json.loads(line) for line in (folder / "metadata.jsonl").read_text("utf-8").splitlines()]
    config = model.config
    preset = transform_preset("eval", config.image_size, config.image_mean, config.image_std)
    images = MultiLabelDataset(
        [{"image": str(folder / row["file_name"]), "image_id": row["file_name"], **row} for row in listed],
        LabelSpace(names),
        build_transform(replace(preset, interpolation=config.interpolation)),
    )
    with torch.no_grad():
        found = compute_feature_maps(images, model.eval().backbone.feature_map, cache, batch_size=64)
    return Part(np.asarray(found.maps[0]), found.labels)


def names_of(folder: Path) -> list[str]:
    """The labels of a folder's photographs, sorted."""
    lines = (folder / "metadata.jsonl").read_text("utf-8").splitlines()
    return sorted({label for line in lines for label in json.loads(line)["labels"]})


def train_head(model: Any, train: Part, validation: Part, rate: float, epochs: int, seed: int) -> float:
    """Train a model's head by binary cross-entropy; it keeps the weights of its best epoch.

    AdamW, one cycle, the sum over labels and the mean over images.

    Returns:
        the best mAP on validation, in percent.
    """
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(model.head.parameters(), lr=rate, weight_decay=1e-2)
    steps = epochs * -(-len(train.labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1)
    best, kept = -1.0, None
    for epoch in range(epochs):
        model.head.train()
        order = stateless_generator("order", seed, epoch).permutation(len(train.labels))
        for start in range(0, len(order), BATCH):
            rows = np.sort(order[start : start + BATCH])
            maps, labels = torch.from_numpy(train.maps[rows]).float(), train.labels[rows]
            logits = model(feature_map=maps).logits
            loss = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / len(rows)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.head.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        score = 100 * mean_average_precision(predict(model, validation), validation.labels)[0]
        if score > best:
            best, kept = score, copy.deepcopy(model.head.state_dict())
    assert kept is not None
    model.head.load_state_dict(kept)
    return best


@torch.no_grad()
def predict(model: Any, part: Part) -> np.ndarray:
    """Logits (n, C) of a part."""
    model.head.eval()
    found = [
        model(feature_map=torch.from_numpy(part.maps[start : start + 256]).float()).logits
        for start in range(0, len(part.labels), 256)
    ]
    return torch.cat(found).numpy()
