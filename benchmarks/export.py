"""Size, speed and mAP of a saved model in fewer bits: torch against onnxruntime, one thread, paired in one run.

python -m benchmarks.export --model MODEL --dataset DATA/mirflickr --data_options '{"validation_fraction": 0.2}'

The ranges of int8 are measured on pictures of the training split; mAP is that of the validation split, whose pictures
all precisions see from the same prepared pixels. Rounds take turns, so that other work on the machine harms all alike;
the time of a batch is the least of its rounds.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from mlic_hf.data import read_image
from mlic_hf.methods.saved_model import load_saved
from mlic_hf.metrics import mean_average_precision, paired_bootstrap_map
from mlic_hf.modeling import MultiLabelImageProcessor
from mlic_hf.pictures.onnx_tagger import PIXELS, OnnxTagger
from mlic_hf.runs.data import load_data
from mlic_hf.runs.exporting import export, spread
from mlic_hf.runs.options import RunOptions

BATCHES = (1, 32)
FIRST = "torch float32"
Run = Callable[[np.ndarray], np.ndarray]


def of_torch(model: Any, dtype: torch.dtype) -> Run:
    """Pixels to logits by torch."""
    model = copy.deepcopy(model).to(dtype).eval()

    def run(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(pixels).to(dtype)).logits.float().numpy()

    return run


def of_onnx(path: Path) -> Run:
    """Pixels to logits by onnxruntime."""
    session = OnnxTagger(path, threads=1).session
    return lambda pixels: session.run(["logits"], {PIXELS: pixels})[0]


def times(runs: dict[str, Run], pixels: np.ndarray, rounds: int) -> dict[str, np.ndarray]:
    """Seconds of every round of each, taking turns."""
    told: dict[str, list[float]] = {name: [] for name in runs}
    for name in runs:
        runs[name](pixels)
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run(pixels)
            told[name].append(time.perf_counter() - start)
    return {name: np.asarray(seconds) for name, seconds in told.items()}


def table(model: Any, data: Any, rounds: int) -> str:
    """The rows of all precisions in Markdown."""
    splits = {name: data.images(name, "split") for name in ("train", "validation")}
    processor = MultiLabelImageProcessor.for_model(model)
    rows = list(splits["validation"])
    pixels = np.concatenate(
        [processor(read_image(row["image"], str(row["image_id"])))["pixel_values"] for row in rows]
    )
    positions = data.labels.positions(model.label_names)
    targets = np.stack([data.labels.multi_hot(row["labels"], row["ignored"]).numpy()[positions] for row in rows])
    train = splits["train"]
    train_pictures = [read_image(train[place]["image"], str(place)) for place in spread(range(len(train)), 256)]
    weights = sum(t.numel() for t in model.state_dict().values()) / 1e6
    runs = {FIRST: of_torch(model, torch.float32), "torch bfloat16": of_torch(model, torch.bfloat16)}
    sizes = {FIRST: 4 * weights, "torch bfloat16": 2 * weights}
    with TemporaryDirectory() as folder:
        for precision in ("float32", "float16", "int8"):
            path = Path(folder) / f"{precision}.onnx"
            export(model, path, train_pictures, precision)
            runs[f"onnxruntime {precision}"] = of_onnx(path)
            sizes[f"onnxruntime {precision}"] = path.stat().st_size / 1e6
    scores = {}
    for name, run in runs.items():
        logits = np.concatenate([run(pixels[start : start + 32]) for start in range(0, len(pixels), 32)])
        scores[name] = 1 / (1 + np.exp(-logits.astype(np.float64)))
    seconds = {batch: times(runs, pixels[:batch], rounds * 32 // batch if batch == 1 else rounds) for batch in BATCHES}
    lines = ["| | MB | size | ms, batch 1 | speed | ms, batch 32 | speed | mAP | difference, 95 % |"]
    lines.append("|---" * 9 + "|")
    for name in runs:
        cells = [name, f"{sizes[name]:.1f}", f"{sizes[name] / sizes[FIRST]:.2f}"]
        for batch in BATCHES:
            ratio = seconds[batch][FIRST].min() / seconds[batch][name].min()
            cells += [f"{1000 * seconds[batch][name].min():.2f}", f"{ratio:.2f}x"]
        cells.append(f"{100 * mean_average_precision(scores[name], targets)[0]:.2f}")
        gain = paired_bootstrap_map(scores[name], scores[FIRST], targets)
        cells.append(f"{100 * gain.value:+.2f} ({100 * gain.low:+.2f} to {100 * gain.high:+.2f})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", required=True, help="folders of saved models")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--data_options", type=json.loads, default={})
    parser.add_argument("--rounds", type=int, default=20, help="of batch 32; 32 times as many of batch 1")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load_data(RunOptions(dataset=arguments.dataset, data_options=arguments.data_options))
    for folder in arguments.model:
        model = load_saved(folder, "model").eval()
        size = f"{model.config.backbone}, {type(model).__name__}, {model.config.image_size} pixels"
        print(f"\n{Path(folder).parent.name}: {size}\n\n{table(model, data, arguments.rounds)}", flush=True)


if __name__ == "__main__":
    main()
