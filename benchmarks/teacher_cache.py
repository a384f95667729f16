"""A step of PSD with ten teachers and of L2D (MLD + CD + ID), with the teachers and with their kept answers.

python -m benchmarks.teacher_cache [--quick] [--device cuda] [--rounds 15]

Beside them a plain supervised step of the same student. All variants take turns, step by step, so that a busy machine
is busy for all of them; a ratio is that of a round. Memory is the peak of a process that runs the variant alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

from mlic_hf.data import LabelSpace, MultiLabelDataset, TransformConfig, build_transform, collate
from mlic_hf.methods.base import Method
from mlic_hf.methods.psd.part_teachers import PartTeachers
from mlic_hf.methods.psd.partition import Partition
from mlic_hf.methods.registry import build_objectives
from mlic_hf.methods.teacher_cache import compute_cache, is_cache
from mlic_hf.methods.teachers import ModelTeacher, as_teacher
from mlic_hf.methods.views import PixelSpec
from mlic_hf.modeling import LinearForImageClassification, MLDecoderForImageClassification

LABELS = [f"label {number}" for number in range(20)]
PARTS, KINDS = 5, ("cgp", "dgp")
#: method -> the variants of its step
VARIANTS = ("plain", "cached", "uncached")


class Shape:
    """How large everything is: the full benchmark, or one that only shows that it runs."""

    def __init__(self, quick: bool, device: str) -> None:
        self.device = device
        self.student, self.teacher = ("test_resnet", "test_resnet") if quick else ("resnet18", "resnet34")
        self.size = 32 if quick else 64 if device == "cpu" else 224
        self.batch = 4 if quick else 16 if device == "cpu" else 64

    def images(self) -> MultiLabelDataset:
        """Two batches of noise."""
        draw = np.random.default_rng(0)
        rows = [
            {
                "image": Image.fromarray(draw.integers(0, 256, (self.size, self.size, 3), dtype=np.uint8)),
                "image_id": f"image {place}",
                "labels": sorted(draw.choice(len(LABELS), 3, replace=False).tolist()),
            }
            for place in range(2 * self.batch)
        ]
        pixels = vars(PixelSpec.of_model(linear(self.student, LABELS, self.size)))
        return MultiLabelDataset(rows, LabelSpace(LABELS), build_transform(TransformConfig(**pixels, hflip=True)))


def linear(backbone: str, labels: list[str], size: int, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return LinearForImageClassification.from_timm(backbone, labels, pretrained=False, image_size=size)


def decoder(backbone: str, size: int, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return MLDecoderForImageClassification.from_timm(backbone, LABELS, pretrained=False, image_size=size)


def make_teacher(method: str, shape: Shape) -> Any:
    """PSD's ten teachers, each of four labels; L2D's one."""
    if method == "l2d":
        return ModelTeacher(decoder(shape.teacher, shape.size, 1), LABELS)
    parts = tuple(tuple(LABELS[place::PARTS]) for place in range(PARTS))
    teachers = {
        kind: [
            ModelTeacher(linear(shape.teacher, list(part), shape.size, 10 * number + place), part)
            for place, part in enumerate(parts)
        ]
        for number, kind in enumerate(KINDS)
    }
    partitions = {kind: Partition(kind, tuple(LABELS), parts, None, 0, "spectral", "benchmark") for kind in KINDS}
    return PartTeachers(teachers, partitions, LABELS)


def make_cache(method: str, shape: Shape, folder: Path) -> None:
    """Both draws of all images, in float16."""
    contents = ["logits", "label_embeddings"] if method == "l2d" else ["logits"]
    compute_cache(make_teacher(method, shape), shape.images(), folder, views=2, contents=contents, device=shape.device)


def make_step(method: str, variant: str, shape: Shape, folder: Path) -> Callable[[], None]:
    """One training step of a variant, its batches already in memory."""
    student = (decoder if method == "l2d" else linear)(
        *((shape.student, shape.size) if method == "l2d" else (shape.student, LABELS, shape.size))
    )
    student.to(shape.device).train()
    teacher: Any = None
    if variant != "plain":
        teacher = as_teacher(folder, LABELS) if variant == "cached" else make_teacher(method, shape)
    wanted = "supervised" if variant == "plain" else method
    whole = Method(build_objectives(wanted, student, teacher), PixelSpec.of_model(student), teacher)
    images = shape.images()
    batches = []
    for view, first in ((0, 0), (1, shape.batch)):
        rows = [images.shown(place, view) | {"view": view} for place in range(first, first + shape.batch)]
        batch = collate(rows)
        batch |= {name: batch[name].to(shape.device) for name in ("pixel_values", "labels")}
        batches.append(batch)
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-4)
    taken = [0]

    def step() -> None:
        taken[0] += 1
        batch = whole.look(student, **batches[taken[0] % 2])
        batch.student = student(batch.pixel_values, **whole.asks)
        loss, _ = whole(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if shape.device == "cuda":
            torch.cuda.synchronize()

    return step


def measure(method: str, shape: Shape, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each variant's step, round by round."""
    steps = {variant: make_step(method, variant, shape, folder) for variant in VARIANTS}
    times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for turn in range(rounds + 2):
        for variant, step in steps.items():
            start = time.perf_counter()
            step()
            if turn > 1:  # the first two warm up
                times[variant].append(time.perf_counter() - start)
    return times


def peak(method: str, variant: str, shape: Shape, quick: bool, folder: Path) -> float:
    """MB that a process takes at most which runs a variant alone for three steps."""
    command = [sys.executable, "-m", "benchmarks.teacher_cache", "--device", shape.device, "--folder", str(folder)]
    command += ["--peak_of", f"{method}/{variant}", *(["--quick"] if quick else [])]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def own_peak(method: str, variant: str, shape: Shape, folder: Path) -> float:
    """MB of this process at most: of the GPU's memory, or of its own."""
    step = make_step(method, variant, shape, folder)
    for _ in range(3):
        step()
    if shape.device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    # not getrusage's, which a process inherits from the one that started it
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1.024e-3


def section(quick: bool, device: str = "cpu", rounds: int = 15) -> str:
    """The section of docs/benchmarks.md."""
    shape = Shape(quick, device)
    lines = [
        "## A distilled step with kept answers",
        "",
        f"Student {shape.student}, {shape.size} px, {shape.batch} images, {len(LABELS)} labels, float32, {device}; "
        f"teachers {shape.teacher}: PSD ten of four labels each, L2D (MLD + CD + ID) one; ML-Decoders for L2D. Median "
        f"of {rounds} rounds in which plain, cached and uncached steps take turns; x = against the plain step of the "
        "same round. Answers in float16, memory-mapped. Memory: the peak of a process that runs the variant alone.",
        "",
        "| step | ms | x | least - most | MB | aim |",
        "|---|---|---|---|---|---|",
    ]
    for method, name in (("psd", "PSD, ten teachers"), ("l2d", "L2D")):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            make_cache(method, shape, folder)
            times = measure(method, shape, folder, rounds)
            for variant in VARIANTS:
                ratios = sorted(own / plain for own, plain in zip(times[variant], times["plain"]))
                told = f"{median(ratios):.2f} | {ratios[0]:.2f} - {ratios[-1]:.2f}"
                aim = "<= 1.1" if variant == "cached" else "-"
                memory = peak(method, variant, shape, quick, folder)
                title = "plain, supervised" if variant == "plain" else variant
                milliseconds = f"{1000 * median(times[variant]):.0f}"
                lines.append(f"| {name}: {title} | {milliseconds} | {told} | {memory:.0f} | {aim} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small shapes, to see that it runs")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peak_of", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak_of is not None:
        method, variant = given.peak_of.split("/")
        assert is_cache(given.folder)
        print(own_peak(method, variant, Shape(given.quick, given.device), given.folder))
        return
    print(section(given.quick, given.device, given.rounds))


if __name__ == "__main__":
    main()
