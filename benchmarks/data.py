"""Images a second of the training pipeline, against the originals' pipeline, in one run.

The originals: Pillow decodes and resizes the full picture, a box is drawn, torchvision's RandAugment runs on
Pillow images, and ToTensor divides by 255. Both do the work of one DataLoader worker, on one thread, from the
same JPEG bytes. Rounds alternate, and every image's best processor time counts, so that other work harms
neither.
"""

from __future__ import annotations

import io
import random
import time
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.utils.data import Dataset
from torchvision import transforms

from mlic_hf.data import LabelSpace, MultiLabelDataset, build_transform, transform_preset

CASES = (((500, 375), 224, 1.5), ((500, 375), 448, None), ((1000, 750), 224, 2.0))


def photograph(width: int, height: int, seed: int) -> bytes:
    """A JPEG with the spectrum of a photograph: noise of every size, the coarse ones strongest."""
    generator = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (3, 6, 12, 25, 50, 100, 200):
        noise = generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        total += np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)) / cells
    total += generator.normal(0, 8, total.shape) * total.std() / 50  # grain, as a camera's
    total = (total - total.min()) / (total.max() - total.min()) * 255
    file = io.BytesIO()
    Image.fromarray(total.astype(np.uint8)).save(file, "JPEG", quality=92)
    return file.getvalue()


def erase_box(image: Image.Image, fraction: float = 0.5) -> Image.Image:
    """The originals' cutout: a box around a random pixel, in one random colour."""
    width, height = image.size
    x, y = random.randrange(width), random.randrange(height)
    half_width, half_height = int(fraction * width / 2), int(fraction * height / 2)
    box = (x - half_width, y - half_height, x + half_width, y + half_height)
    ImageDraw.Draw(image).rectangle(box, fill=tuple(random.randrange(256) for _ in range(3)))
    return image


class OriginalPipeline(Dataset):
    """What the originals do for one image."""

    def __init__(self, rows: list[dict[str, Any]], size: int) -> None:
        self.rows = rows
        self.transform = transforms.Compose(
            [transforms.Resize((size, size)), erase_box, transforms.RandAugment(), transforms.ToTensor()]
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = Image.open(io.BytesIO(self.rows[index]["image"])).convert("RGB")
        return {"pixel_values": self.transform(image)}


def seconds_per_image(dataset: Dataset, num_images: int) -> np.ndarray:
    """Processor time of each image, read and transformed, with the same draws at every call."""
    seconds = np.empty(num_images)
    for index in range(num_images):
        random.seed(index)
        torch.manual_seed(index)
        start = time.process_time()
        dataset[index]
        seconds[index] = time.process_time() - start
    return seconds


def measure(picture: tuple[int, int], size: int, quick: bool) -> dict[str, float]:
    """Images a second of each pipeline: every image's best time of several alternating rounds."""
    sources = [photograph(*picture, seed) for seed in range(8)]
    rows = [
        {"image": sources[index % len(sources)], "image_id": str(index), "labels": [0]}
        for index in range(64 if quick else 192)
    ]
    space = LabelSpace(["label"])
    pipelines: dict[str, Dataset] = {"originals": OriginalPipeline(rows, size)}
    for backend in ("torchvision", "albumentations"):
        transform = build_transform(transform_preset("psd", size, backend=backend))
        pipelines[backend] = MultiLabelDataset(rows, space, transform)
    best = {name: np.full(len(rows), np.inf) for name in pipelines}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(8 if quick else 16):
        for name, dataset in pipelines.items():
            best[name] = np.minimum(best[name], seconds_per_image(dataset, len(rows)))
    torch.set_num_threads(threads)
    return {name: len(rows) / seconds.sum() for name, seconds in best.items()}


def section(quick: bool) -> str:
    """A markdown table of the measured speeds; `quick` takes fewer images and rounds."""
    lines = [
        "## Data: images a second, one worker",
        "",
        "Preset `psd` (resize, cutout, RandAugment, to tensor) from JPEG bytes; "
        "x = albumentations against the originals.",
        "",
        "| JPEG | to | originals | ours, torchvision | ours, albumentations | x | aim |",
        "|---|---|---|---|---|---|---|",
    ]
    for (width, height), size, aim in CASES:
        speed = measure((width, height), size, quick)
        ratio = speed["albumentations"] / speed["originals"]
        cells = " | ".join(f"{speed[name]:.0f}" for name in ("originals", "torchvision", "albumentations"))
        wanted = f">= {aim}" if aim else "-"
        lines.append(f"| {width}x{height} | {size} | {cells} | {ratio:.2f} | {wanted} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(section(quick=True))
