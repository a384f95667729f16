"""Splits a multi-label data set so that every part has its share of every label."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from mlic_hf.data.co_occurrence_counts import positive_pairs
from mlic_hf.data.stateless_random import stateless_generator


def stratified_split(labels: Any, num_labels: int, fractions: Sequence[float], seed: int = 0) -> list[np.ndarray]:
    """Split images by iterative stratification.

    The label with the fewest images left is dealt out first, each image to the part that wants that label
    most; ties go to the part that wants images most, then by a draw. Images without labels come last.

    Args:
        labels: one list of label ids an image, or a multi-hot matrix (images, labels).
        num_labels: how many labels there are.
        fractions: the size of each part; they must sum to 1.
        seed: the only source of chance; the same seed gives the same split.

    Returns:
        one sorted array of image indices a part; together they hold every image once.

    Raises:
        ValueError: fractions that are not positive or do not sum to 1.

    Source: Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data", 2011.
    """
    if not len(fractions) or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"The fractions are {list(fractions)}, but must be positive and sum to 1.")
    images, ids, num_images = positive_pairs(labels, num_labels)
    ends = np.searchsorted(images, np.arange(num_images + 1))
    labels_of = [ids[start:end] for start, end in pairwise(ends)]
    order = np.argsort(ids, kind="stable")
    images_of = np.split(images[order], np.searchsorted(ids[order], np.arange(1, num_labels)))
    generator = stateless_generator("split", seed)
    place = generator.permutation(num_images)

    left = np.bincount(ids, minlength=num_labels)
    wanted_images = np.array(fractions) * num_images
    wanted_labels = np.array(fractions)[:, None] * left
    part_of = np.full(num_images, -1)

    def deal(image: int, wishes: np.ndarray) -> None:
        ranks = np.lexsort((generator.random(len(fractions)), -wanted_images, -wishes))
        part_of[image] = part = ranks[0]
        wanted_images[part] -= 1
        wanted_labels[part, labels_of[image]] -= 1
        left[labels_of[image]] -= 1

    while left.any():
        rarest = int(np.where(left > 0, left, num_images + 1).argmin())
        remaining = images_of[rarest][part_of[images_of[rarest]] < 0]
        for image in remaining[place[remaining].argsort()]:
            deal(image, wanted_labels[:, rarest].copy())
    unlabelled = np.flatnonzero(part_of < 0)
    for image in unlabelled[place[unlabelled].argsort()]:
        deal(image, wanted_images.copy())
    return [np.flatnonzero(part_of == part) for part in range(len(fractions))]
