"""A step of the trainer beside transformers' own and a bare loop: `python -m benchmarks.trainer [--quick]`."""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.utils.logging import disable_progress_bar

from mlic_hf import L2DConfig, LinearForImageClassification, MLDecoderForImageClassification
from mlic_hf.data import collate
from mlic_hf.methods.base import Method
from mlic_hf.methods.registry import build_objectives
from mlic_hf.methods.teachers import as_teacher
from mlic_hf.methods.views import PixelSpec
from mlic_hf.training import MovingAverage, MultiLabelTrainer, MultiLabelTrainingArguments

LABELS = [f"label {number}" for number in range(20)]
SIZE, BATCH, WARM = 64, 16, 5
SMALL = {"width": 64, "num_heads": 4, "feed_forward_size": 128}


class Clock(TrainerCallback):
    """Seconds of the processor a step, from the end of the first steps to the end of the last."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.ends.append(time.process_time())

    @property
    def seconds(self) -> float:
        return (self.ends[-1] - self.ends[WARM - 1]) / (len(self.ends) - WARM)


def pictures(count: int) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(count, 3, SIZE, SIZE, generator=generator)
    labels = (torch.rand(count, len(LABELS), generator=generator) < 0.15).to(torch.int8)
    return [{"pixel_values": p, "labels": y, "image_id": str(i)} for i, (p, y) in enumerate(zip(pixels, labels))]


def decoder(network: str) -> Any:
    options = {"pretrained": False, "image_size": SIZE, **SMALL}
    return MLDecoderForImageClassification.from_timm(network, LABELS, **options).train()


def linear(network: str) -> Any:
    return LinearForImageClassification.from_timm(network, LABELS, pretrained=False, image_size=SIZE).train()


def bce(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
    loss = binary_cross_entropy_with_logits(outputs.logits, labels.float(), reduction="sum")
    return loss / len(labels)


def bare(data: list, model: Any, loss_of: Callable[[Any, dict], Any], averaged: bool = False) -> float:
    """The shortest loop that learns the same."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, weight_decay=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-4, total_steps=len(data) // BATCH + 1)
    average = MovingAverage(model, 0.9997) if averaged else None
    clock = Clock()
    for step, batch in enumerate(DataLoader(data, BATCH, shuffle=True, collate_fn=collate)):
        loss = loss_of(model, batch)
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if average is not None:
            average.update(step)
        clock.on_step_end()
    return clock.seconds


SETTINGS: dict[str, Any] = {
    "per_device_train_batch_size": BATCH,
    "num_train_epochs": 1,
    "use_cpu": True,
    "disable_tqdm": True,
    "dataloader_num_workers": 0,
    "dataloader_pin_memory": False,
    "save_strategy": "no",
    "eval_strategy": "no",
    "report_to": "none",
    "remove_unused_columns": False,
    "max_grad_norm": 0.0,
}


def transformers_trainer(data: list, folder: str, model: Any) -> float:
    clock = Clock()
    args = TrainingArguments(folder, **SETTINGS)
    rows = [{name: row[name] for name in ("pixel_values", "labels")} for row in data]
    Trainer(model, args, collate, rows, compute_loss_func=lambda outputs, labels, **_: bce(outputs, labels),
            callbacks=[clock]).train()  # fmt: skip
    return clock.seconds


def ours(data: list, folder: str, model: Any, ema_decay: float | None, **options: Any) -> float:
    clock = Clock()
    args = MultiLabelTrainingArguments(folder, **SETTINGS, ema_decay=ema_decay, load_best_model_at_end=False)
    MultiLabelTrainer(model, args, train_dataset=data, callbacks=[clock], **options).train()
    return clock.seconds


def l2d_loss(model: Any, teacher: Any) -> Callable[[Any, dict], Any]:
    """The method's own maths, which the bare loop needs too."""
    taught = as_teacher(teacher, LABELS)
    method = Method(build_objectives(L2DConfig(), model, taught), PixelSpec.of_model(model), taught)

    def loss_of(model: Any, batch: dict) -> Any:
        seen = method.look(model, batch["pixel_values"], batch["labels"])
        seen.student = model(seen.pixel_values, **method.asks)
        return method(seen)[0]

    return loss_of


def bare_l2d(data: list, student: Any, teacher: Any) -> float:
    return bare(data, student, l2d_loss(student, teacher), averaged=True)


def plain_loss(model: Any, batch: dict) -> Any:
    return bce(model(batch["pixel_values"]), batch["labels"])


def rounds(network: str, data: list, repeats: int) -> dict[str, list[float]]:
    """Seconds a step of every loop, `repeats` times in turn."""
    found: dict[str, list[float]] = {}
    teacher = decoder(network).eval()
    with tempfile.TemporaryDirectory() as folder:
        loops: dict[str, Callable[[], float]] = {
            "supervised: bare loop": lambda: bare(data, linear(network), plain_loss),
            "supervised: transformers' Trainer": lambda: transformers_trainer(data, folder, linear(network)),
            "supervised: ours, no average": lambda: ours(data, folder, linear(network), None),
            "supervised: bare loop with the average": lambda: bare(data, linear(network), plain_loss, averaged=True),
            "supervised: ours": lambda: ours(data, folder, linear(network), 0.9997),
            "l2d: bare loop with the average": lambda: bare_l2d(data, decoder(network), teacher),
            "l2d: ours": lambda: ours(data, folder, decoder(network), 0.9997, method="l2d", teacher=teacher),
        }
        for _ in range(repeats):
            for name, run in loops.items():
                set_seed(0)
                found.setdefault(name, []).append(run())
    return found


def section(quick: bool) -> str:
    """The chapter of the benchmark report about the trainer, as markdown.

    Args:
        quick: few steps, for the test that the benchmark runs at all.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            networks = {"test_resnet": (12, 2)} if quick else {"test_resnet": (60, 7), "resnet18": (25, 5)}
            measured = {
                network: rounds(network, pictures(BATCH * steps), repeats)
                for network, (steps, repeats) in networks.items()
            }
    finally:
        torch.set_num_threads(threads)
    lines = [
        "## Trainer: a step beside a bare loop",
        "",
        f"{SIZE} px, {len(LABELS)} labels, batch {BATCH}, float32, one thread, pictures in memory, the loops in turn. "
        "Milliseconds are of the processor, loading the batch included. x: against the bare loop above in the same",
        "turn (median, least and most). Aim for ours: 1.03.",
        "",
        "| network | loop | ms a step | x |",
        "|---|---|---|---|",
    ]
    for network, found in measured.items():
        beside: list[float] = []
        for name, seconds in found.items():
            beside = seconds if "bare" in name else beside
            ratios = sorted(s / b for s, b in zip(seconds, beside))
            told = "" if "bare" in name else f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
            lines.append(f"| `{network}` | {name} | {1000 * statistics.median(seconds):.1f} | {told} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few steps, to see that it runs")
    print(section(parser.parse_args().quick))
