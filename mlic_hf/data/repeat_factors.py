"""Repeat-factor sampling: images with rare labels are seen more often in an epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlic_hf.data.co_occurrence_counts import positive_pairs
from mlic_hf.data.stateless_random import stateless_generator


def repeat_factors(labels: Any, num_labels: int, threshold: float = 0.01) -> np.ndarray:
    """How often each image is to be seen in an epoch: max over its labels of max(1, sqrt(threshold / frequency)).

    Args:
        labels: one list of label ids an image, or a multi-hot matrix (images, labels).
        num_labels: how many labels there are.
        threshold: the share of images below which a label counts as rare (0.001 in the paper, for 1,203 labels).

    Returns:
        (images,) floats of at least 1; an image without labels has 1.

    Raises:
        ValueError: a threshold outside (0, 1]; bad labels.

    Source: LVIS: A Dataset for Large Vocabulary Instance Segmentation (Gupta et al., CVPR 2019), appendix, "repeat
        factor sampling".
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"The threshold is {threshold}, but must be a share of the images in (0, 1].")
    images, ids, num_images = positive_pairs(labels, num_labels)
    frequency = np.bincount(ids, minlength=num_labels) / max(1, num_images)
    of_label = np.sqrt(np.maximum(1.0, threshold / np.maximum(frequency, 1 / max(1, num_images))))
    factors = np.ones(num_images)
    np.maximum.at(factors, images, of_label[ids])
    return factors


def repeated_order(factors: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """The images of an epoch in a drawn order, each as often as its factor says, rounded up or down by chance.

    Systematic sampling: an image of factor r is seen floor(r) or floor(r) + 1 times and r times on average, and every
    epoch is equally long (the sum of the factors, rounded).

    Args:
        factors: (images,) of `repeat_factors`, or any weights above 0.
        seed: of the order.
        epoch: the same epoch always has the same order.

    Returns:
        (round(sum of factors),) image numbers.

    Raises:
        ValueError: when a factor is not above 0.
    """
    factors = np.asarray(factors, np.float64)
    if not (factors > 0).all() or not np.isfinite(factors).all():
        raise ValueError("Every factor must be a finite number above 0: how often an image is seen in an epoch.")
    generator = stateless_generator("repeated order", seed, epoch)
    place = generator.permutation(len(factors))
    length = max(1, round(factors.sum()))
    ends = factors[place].cumsum()
    ends = ends / ends[-1] * length
    # a comb of teeth one apart, laid at a drawn place over the factors side by side
    teeth = np.floor(ends + generator.random())
    copies = np.diff(teeth, prepend=0.0).astype(np.int64)
    return generator.permutation(np.repeat(place, copies))
