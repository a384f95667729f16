"""Weights that give rare labels a larger say."""

from __future__ import annotations

import numpy as np
import torch

RULES = ("balanced", "inverse_frequency", "effective_number")


def class_weights(counts: np.ndarray, num_images: int, rule: str = "balanced", beta: float = 0.999) -> torch.Tensor:
    """One weight a label, from how many images have it.

    Args:
        counts: (labels,) images with each label; see co_occurrence_counts.
        num_images: images altogether.
        rule: "balanced": negatives / positives, the `pos_weight` of binary cross-entropy;
            "inverse_frequency": 1 / positives, scaled to mean 1; "effective_number":
            (1 - beta) / (1 - beta^positives), scaled to mean 1 (Cui et al. 2019, equation 2).
        beta: of "effective_number", in [0, 1).

    Returns:
        (labels,) float32, finite; a label without positives counts as having one.

    Raises:
        ValueError: unknown rule, beta out of range, or counts above num_images.
    """
    if rule not in RULES:
        raise ValueError(f"The class weight rule is {rule!r}, but must be one of {', '.join(RULES)}.")
    if not 0 <= beta < 1:
        raise ValueError(f"beta is {beta}, but must lie in [0, 1).")
    counts = np.asarray(counts, np.float64)
    if counts.size and (counts.min() < 0 or counts.max() > num_images):
        raise ValueError(
            f"The counts lie in {counts.min():.0f}..{counts.max():.0f}, but there are {num_images} images; "
            "counts must be images, not objects."
        )
    positives = np.maximum(counts, 1)
    if rule == "balanced":
        weights = (num_images - counts) / positives
    else:
        shares = positives if rule == "inverse_frequency" else (1 - beta**positives) / (1 - beta)
        weights = 1 / shares
        weights = weights / weights.mean()
    return torch.from_numpy(weights).float()
