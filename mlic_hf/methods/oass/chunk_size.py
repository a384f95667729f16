"""How many cuts go through a model at once: found by measuring, because it depends on the machine."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

LARGEST = 256
#: a larger chunk must be this much faster for each cut to be worth its memory
WORTH = 0.95


def measure_chunk_size(run: Callable[[int], object], device: torch.device, largest: int = LARGEST) -> int:
    """The chunk beyond which a cut gets no faster or memory gets scarce.

    Sizes double from 1 until time for each cut falls by less than 5 %, a chunk takes more than half of the memory
    that is free on the GPU, or does not fit. Results do not depend on it: the model is in evaluation mode.

    Args:
        run: sends that many cuts through the model.
        device: where it runs.
        largest: no chunk is larger.

    Returns:
        The number of cuts, at least 1.
    """
    best, fastest, size = 1, float("inf"), 1
    while size <= largest:
        try:
            seconds, memory = _cost(run, size, device)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            break
        if seconds / size > fastest * WORTH or (best < size and memory > 0.5):
            break
        best, fastest, size = size, seconds / size, 2 * size
    return best


def _cost(run: Callable[[int], object], size: int, device: torch.device) -> tuple[float, float]:
    """Seconds of a chunk, the better of two, and the share of the free GPU memory that it took."""
    on_gpu = device.type == "cuda"
    seconds, memory = float("inf"), 0.0
    for _ in range(2):
        if on_gpu:
            torch.cuda.synchronize(device)
            free, held = torch.cuda.mem_get_info(device)[0], torch.cuda.memory_allocated(device)
            free += torch.cuda.memory_reserved(device) - held
            torch.cuda.reset_peak_memory_stats(device)
        start = time.perf_counter()
        run(size)
        if on_gpu:
            torch.cuda.synchronize(device)
            memory = (torch.cuda.max_memory_allocated(device) - held) / max(1, free)
        seconds = min(seconds, time.perf_counter() - start)
    return seconds, memory
