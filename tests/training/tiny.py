"""A tiny data set and trainer, made in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mlic_hf.data import (
    LabelSpace,
    MultiLabelDataset,
    MultiLabelStream,
    ShardedRows,
    TransformConfig,
    build_transform,
)
from mlic_hf.methods.base import Weighted
from mlic_hf.methods.supervised import BinaryCrossEntropy
from mlic_hf.training import MultiLabelTrainer, MultiLabelTrainingArguments
from tests.methods.tiny import NAMES, SIZE, tiny_linear
from tests.methods.together import Together


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Pictures whose colours tell their labels, so that a few steps learn something."""
    generator = np.random.default_rng(seed)
    found = []
    for index in range(count):
        labels = [label for label in range(len(NAMES)) if generator.random() < 0.4] or [index % len(NAMES)]
        pixels = generator.integers(0, 80, (SIZE, SIZE, 3))
        for label in labels:
            pixels[label * 6 : label * 6 + 6, :, label % 3] += 150
        picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        found.append({"image": picture, "image_id": f"image-{seed}-{index}", "labels": labels, "ignored": []})
    return found


def dataset(count: int, seed: int = 0, kind: str = "eval", views: int = 1) -> MultiLabelDataset:
    changes = {"hflip": True} if kind == "train" else {}
    transform = build_transform(TransformConfig(kind=kind, image_size=SIZE, **changes))
    return MultiLabelDataset(rows(count, seed), LabelSpace(NAMES), transform, views=views)


def dataset_of(count: int, seed: int = 0) -> Any:
    """The rows as a `datasets.Dataset` with the schema of `dataset_builders`."""
    import datasets

    labels = datasets.Sequence(datasets.ClassLabel(names=list(NAMES)))
    kinds = {"image": datasets.Image(), "image_id": datasets.Value("string"), "labels": labels, "ignored": labels}
    return datasets.Dataset.from_list(rows(count, seed), features=datasets.Features(kinds))


def iterable(count: int, shards: int, seed: int = 0) -> Any:
    """The same as a stream."""
    return dataset_of(count, seed).to_iterable_dataset(num_shards=shards)


def stream(counts: list[int], known: bool = True, kind: str = "train", seed: int = 0) -> MultiLabelStream:
    """Shards of these lengths; they are those of `iterable`, so no two differ by more than one row."""
    changes = {"hflip": True} if kind == "train" else {}
    transform = build_transform(TransformConfig(kind=kind, image_size=SIZE, **changes))
    shards = ShardedRows(iterable(sum(counts), len(counts), seed), counts if known else None)
    return MultiLabelStream(shards, LabelSpace(NAMES), transform, buffer_size=5)


def arguments(folder: Path, **changes: Any) -> MultiLabelTrainingArguments:
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 8,
        "num_train_epochs": 2,
        "learning_rate": 1e-2,
        "ema_decay": 0.5,
        "ema_warmup": False,
        "dataloader_num_workers": 0,
        "use_cpu": True,
        "disable_tqdm": True,
    }
    return MultiLabelTrainingArguments(**(settings | changes))


def make_trainer(folder: Path, both: Together | None = None, train: Any = None, **changes: Any) -> MultiLabelTrainer:
    both = both or Together(tiny_linear(), [Weighted(BinaryCrossEntropy(), 1.0)])
    return MultiLabelTrainer(
        both.student,
        arguments(folder, **changes),
        train_dataset=dataset(24, kind="train") if train is None else train,
        eval_dataset=dataset(13, seed=1),
        method=both.method,
    )


def same_weights(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
