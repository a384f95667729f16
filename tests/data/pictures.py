"""Pictures made on the fly, smooth enough to be like photographs."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image


def picture(width: int = 120, height: int = 90, seed: int = 0) -> Image.Image:
    generator = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (2, 5, 12, 30):
        noise = Image.fromarray(generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), float) / cells
    total = (total - total.min()) / (total.max() - total.min()) * 255
    return Image.fromarray(total.astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def rows_of(count: int, labels: int = 4) -> list[dict[str, Any]]:
    return [
        {"image": encoded(picture(60 + i, 50, seed=i), "PNG"), "image_id": f"im{i}", "labels": [i % labels]}
        for i in range(count)
    ]
