"""A small folder of labelled pictures, and flags of a run that takes seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlic_hf.cli.parsing import parse
from mlic_hf.runs.stages import run
from tests.methods.tiny import NAMES
from tests.training.tiny import rows

FLAGS = ["--backbone", "test_resnet", "--pretrained", "false", "--image_size", "32", "--num_train_epochs", "1"]
FLAGS += ["--per_device_train_batch_size", "8", "--dataloader_num_workers", "0", "--disable_tqdm", "true"]
FLAGS += ["--test_split", "null", "--transform", "eval", "--use_cpu", "true"]
DECODER = ["--architecture", "ml_decoder"]
DECODER += ["--model_options", '{"width": 16, "num_heads": 2, "feed_forward_size": 32}']


def start(method: str, folder: Path, output: Path, *flags: str) -> dict[str, dict[str, Any]]:
    """What `python training_scripts/<verb>.py` does, in this process."""
    return run(parse("", method, ["--dataset", str(folder), "--output_dir", str(output), *FLAGS, *flags]))


def make_folder(folder: Path, count: int = 24) -> Path:
    """train/ and validation/ with metadata.jsonl."""
    for split, seed, size in (("train", 0, count), ("validation", 1, count // 2)):
        place = folder / split
        place.mkdir(parents=True)
        lines = []
        for row in rows(size, seed):
            name = f"{row['image_id']}.png"
            row["image"].save(place / name)
            lines.append(json.dumps({"file_name": name, "labels": [NAMES[label] for label in row["labels"]]}))
        (place / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
