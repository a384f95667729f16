"""Training and prediction on more pictures than a process may hold in memory."""

from __future__ import annotations

import io
import json
import resource
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mlic_hf.data import MultiLabelDataset, TransformConfig, build_transform, examples_of
from mlic_hf.runs.data import load_rows, stream_rows
from mlic_hf.training import MultiLabelTrainer
from tests.methods.tiny import NAMES, SIZE, tiny_linear
from tests.training.tiny import arguments

SIDE = 96  # pixels of noise, which do not compress: 27 kB a picture


def noise(index: int) -> tuple[bytes, list[str]]:
    """A picture file and its labels."""
    generator = np.random.default_rng(index)
    file = io.BytesIO()
    Image.frombytes("RGB", (SIDE, SIDE), generator.bytes(3 * SIDE * SIDE)).save(file, "PNG", compress_level=0)
    return file.getvalue(), [name for label, name in enumerate(NAMES) if (index >> label) % 2]


def write_shards(folder: Path, kind: str, count: int, each: int) -> int:
    """`train-*` shards of numbered pictures; their bytes."""
    folder.mkdir(parents=True)
    for number, start in enumerate(range(0, count, each)):
        rows = [(f"image-{index}", *noise(index)) for index in range(start, start + each)]
        (_write_tar if kind == "tar" else _write_parquet)(folder / f"train-{number:05d}.{kind}", rows)
    return sum(path.stat().st_size for path in folder.iterdir())


def _write_tar(path: Path, rows: list[tuple[str, bytes, list[str]]]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, picture, labels in rows:
            for ending, content in ((".png", picture), (".json", json.dumps({"labels": labels}).encode())):
                info = tarfile.TarInfo(name + ending)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def _write_parquet(path: Path, rows: list[tuple[str, bytes, list[str]]]) -> None:
    import datasets

    from dataset_builders.record import features

    made = [
        {"image": {"bytes": picture, "path": None}, "image_id": name, "labels": labels, "ignored": []}
        for name, picture, labels in rows
    ]
    datasets.Dataset.from_list(made, features=features(NAMES)).to_parquet(path)


def status(field: str) -> float:
    """A line of /proc/self/status in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1000
    raise KeyError(field)


class Watched(MultiLabelTrainer):
    """Notes the labelled images of every step."""

    seen: list[str]

    def get_batch_samples(self, *args: Any) -> Any:
        batches, counts = super().get_batch_samples(*args)
        for batch in batches:
            known = (batch["labels"] >= 0).any(dim=1).tolist()
            self.seen += [name for name, labelled in zip(batch["image_id"], known) if labelled]
        return batches, counts


def limited(data: str, output: str, more: int, train: bool) -> None:
    """Train one epoch on the stream and predict all of it; the process may allocate `more` MB beyond its start.

    Args:
        data: the folder of shards.
        output: a folder for what each process tells, <rank>.pt.
        more: MB.
        train: False holds all rows in memory instead, and tells whether that went well.
    """
    import datasets

    datasets.config.HF_DATASETS_CACHE = Path(output) / "cache"
    datasets.disable_progress_bars()
    transform = build_transform(TransformConfig(kind="eval", image_size=SIZE))
    args = arguments(
        Path(output) / "run",
        per_device_train_batch_size=50,
        per_device_eval_batch_size=100,
        num_train_epochs=1,
        save_strategy="no",
        eval_strategy="no",
        load_best_model_at_end=False,
        optim="sgd",
        ema_decay=None,
        logging_strategy="no",
        max_skipped_steps=10**6,
    )
    model = tiny_linear()
    _ = args.world_size, model.eval()(torch.zeros(2, 3, SIZE, SIZE))
    before, start = status("VmData"), status("VmRSS")
    resource.setrlimit(resource.RLIMIT_DATA, (int((before + more) * 1e6), resource.RLIM_INFINITY))
    told: dict[str, Any] = {}
    if train:
        splits, space = stream_rows(data, None, {})
        images = examples_of(splits["train"], space, transform, buffer_size=500)
        trainer = Watched(model, args, train_dataset=images)
        trainer.seen = []
        trainer.train()
        output_of = trainer.predict(images)
        told |= {"seen": trainer.seen, "steps": trainer.state.global_step}
        told["labels"] = torch.from_numpy(output_of.label_ids).to(torch.int8)
        told["finite"] = bool(np.isfinite(output_of.predictions).all())
    else:
        try:
            told["held"] = len(list(_everything(data, transform)))
        except MemoryError:
            told["held"] = None
    told |= {"peak": status("VmHWM") - start, "disk": _bytes_below(Path(output) / "cache")}
    torch.save(told, Path(output) / f"{args.process_index}.pt")
    shutil.rmtree(Path(output) / "cache", ignore_errors=True)


def _everything(data: str, transform: Any) -> Iterator[Any]:
    """All rows with their pictures decoded, as cache_images keeps them."""
    splits, space = load_rows(data, None, {})
    images = MultiLabelDataset(splits["train"], space, transform, cache_images=True)
    return (images[index]["image_id"] for index in range(len(images)))


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
