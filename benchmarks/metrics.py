"""Time and memory of mAP beside scikit-learn's loop, in one run: `python benchmarks/metrics.py [--quick]`."""

from __future__ import annotations

import argparse
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mlic_hf import metrics

# images, labels, positives a label in thousandths: the shapes of COCO's and a large VG500's evaluation
SIZES = [(40_000, 80, 36), (100_000, 500, 20)]
QUICK_SIZES = [(4_000, 80, 36)]


def section(quick: bool) -> str:
    """The chapter of the benchmark report about metrics, as markdown.

    Args:
        quick: small sizes, for the test that the benchmark runs at all.
    """
    lines = [
        "## Metrics",
        "",
        "float32 scores, int8 targets; scikit-learn is `average_precision_score` label by label. Seconds are of the",
        "processor (the best of the runs), so other work on the machine does not count. Memory is the peak of what a",
        "call allocates (tracemalloc), input not counted, as a multiple of the input.",
        "",
        "| images x labels | mAP | mlic_hf | scikit-learn | ratio | memory | input |",
        "|---|---|---|---|---|---|---|",
    ]
    sizes = QUICK_SIZES if quick else SIZES
    lines += [_map_row(*size) for size in sizes]
    scores, targets = _draw(*sizes[0])
    resamples = 20 if quick else 200
    calls: list[tuple[str, Callable[[], Any]]] = [
        ("mAP, voc2012", lambda: metrics.mean_average_precision(scores, targets, "voc2012")),
        ("tune_thresholds", lambda: metrics.tune_thresholds(scores, targets)),
        ("multilabel_metrics", lambda: metrics.multilabel_metrics(scores, targets)),
        (f"bootstrap_map, {resamples} resamples", lambda: metrics.bootstrap_map(scores, targets, resamples)),
    ]
    lines += ["", f"| {sizes[0][0]} x {sizes[0][1]} | seconds | memory |", "|---|---|---|"]
    for name, call in calls:
        seconds, _ = _time(call, repeats=1)
        lines.append(f"| {name} | {seconds:.2f} | {_peak(call) / (scores.nbytes + targets.nbytes):.2f} x input |")
    return "\n".join(lines) + "\n"


def _map_row(images: int, labels: int, positives: int) -> str:
    scores, targets = _draw(images, labels, positives)
    ours, value = _time(lambda: metrics.mean_average_precision(scores, targets)[0], repeats=5)
    theirs, expected = _time(lambda: _scikit_learn(scores, targets), repeats=2)
    if abs(value - expected) > 1e-9:
        raise AssertionError(f"mAP {value} is not scikit-learn's {expected}")
    size = scores.nbytes + targets.nbytes
    memory = _peak(lambda: metrics.mean_average_precision(scores, targets)) / size
    return (
        f"| {images} x {labels} | {value:.6f} | {ours:.2f} s | {theirs:.2f} s | {theirs / ours:.1f} x "
        f"| {memory:.2f} x | {size / 2**20:.0f} MiB |"
    )


def _draw(images: int, labels: int, positives: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    targets = (rng.random((images, labels), dtype=np.float32) < positives / 1000).astype(np.int8)
    scores = rng.normal(size=(images, labels)).astype(np.float32) + 2 * targets
    return 1 / (1 + np.exp(-scores.astype(np.float32))), targets


def _scikit_learn(scores: np.ndarray, targets: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns = zip(targets.T, scores.T)
        return float(np.mean([average_precision_score(target, score) for target, score in columns]))


def _time(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    best, result = float("inf"), None
    for _ in range(repeats):
        start = time.process_time()
        result = call()
        best = min(best, time.process_time() - start)
    return best, result


def _peak(call: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    print(section(parser.parse_args().quick))
