"""Scores and targets of every kind that has ever broken a metric."""

from __future__ import annotations

import numpy as np

NAMES = [
    "plain",
    "tied",
    "constant",
    "saturated",
    "left_out",
    "tied_left_out",
    "dense",
    "one_label",
    "all_positive",
]


def make(name: str, images: int = 157, labels: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """float32 scores in [0, 1] and targets; every label keeps a positive and a negative image."""
    rng = np.random.default_rng(NAMES.index(name))
    labels = 1 if name == "one_label" else labels
    targets = (rng.random((images, labels)) < (0.6 if name == "dense" else 0.12)).astype(np.float32)
    scores = (0.6 * rng.random(targets.shape) + 0.3 * targets * rng.random(targets.shape)).astype(np.float32)
    if name.startswith("tied"):
        scores = np.round(scores * 8) / np.float32(8)
    if name == "constant":
        scores[:] = 0.5
    if name == "saturated":
        scores = np.where(scores > 0.5, np.float32(1), np.float32(0))
    if name.endswith("left_out"):
        targets[rng.random(targets.shape) < 0.2] = -1
    targets[0], targets[1] = 1, 0
    if name == "all_positive":
        targets[:, 0] = 1
    return scores, targets
