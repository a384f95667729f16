"""OASS's key points: all (image, label) pairs at once against the scikit-image loop over pairs, in one run.

python benchmarks/key_points.py [--quick] [--threads 2]
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mlic_hf.modeling.class_maps_mlic import class_activation_maps, key_points, scaled_min_distance


def loop(cams: Tensor, targets: Tensor, size: int) -> Tensor:
    """One pair at a time: resize, scikit-image's local maxima, weighted mean of the five highest."""
    from skimage.feature import peak_local_max

    points = torch.full((*targets.shape, 2), -1)
    for image, label in (targets > 0).nonzero().tolist():
        big = F.interpolate(cams[image, label][None, None], size=(size, size), mode="bilinear")[0, 0].numpy()
        found = peak_local_max(big, min_distance=scaled_min_distance((size, size)), num_peaks=5)
        point = np.array([size // 2, size // 2])
        if len(found):
            response = big[tuple(found.T)]
            point = (found * (response / response.sum())[:, None]).astype(np.int64).sum(axis=0)
        points[image, label] = torch.from_numpy(point)
    return points


def best(function: Callable[[], object], repeats: int) -> float:
    """Milliseconds of the fastest run: what the machine can do when nothing else runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def section(quick: bool, threads: int = 2) -> str:
    """The markdown section of docs/benchmarks.md about the key points."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    lines = [
        "## Key points against the scikit-image loop",
        "",
        f"`ctopk_w` of 20 labels, 1.5 true ones an image; fastest of several runs in milliseconds, torch "
        f"{torch.__version__}, {platform.machine()} CPU, {threads} threads, both in the same run on the same maps.",
        "",
        "| images | pixels | cells | loop ms | ours ms | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for images, size, cells in [(16, 224, 14)] if quick else [(16, 224, 14), (32, 512, 32)]:
        torch.manual_seed(0)
        cams = class_activation_maps(torch.randn(images, 20, cells, cells))
        targets = (torch.rand(images, 20) < 0.075).float()
        repeats = 3 if quick else 5
        slow = best(lambda c=cams, t=targets, s=size: loop(c, t, s), repeats)  # type: ignore[misc]
        fast = best(lambda c=cams, t=targets, s=size: key_points(c, t, s), repeats)  # type: ignore[misc]
        lines.append(f"| {images} | {size} | {cells} | {slow:.1f} | {fast:.1f} | {slow / fast:.1f}x |")
    torch.set_num_threads(before)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the small size only, few repeats")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    sys.stdout.write(section(options.quick, options.threads))
