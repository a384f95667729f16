"""Spectral clustering of the label graph by the rule the published partitions follow."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

PUBLISHED_SEEDS = 25
KMEANS_STARTS = 20


def spectral_partition(
    weights: np.ndarray, num_parts: int, seed: int = 0, num_seeds: int = PUBLISHED_SEEDS
) -> np.ndarray:
    """Partition by the published rule: of several seeds, the one with the best separated rows.

    Every seed clusters the graph spectrally; kept is the result with the highest Calinski-Harabasz score
    of the rows of `weights`, the first of equals. (Choosing by the cut gives other parts than the published.)

    Args:
        weights: (C, C) symmetric affinity with a zero diagonal.
        num_parts: 1 to C.
        seed: the first of `num_seeds` consecutive seeds; the published parts come from 0..24.
        num_seeds: how many seeds are tried.

    Returns:
        (C,) integers 0..num_parts-1; every part has a label.

    Raises:
        ValueError: if `num_parts` is not between 1 and C.
        ImportError: without scikit-learn.

    Paper: PSD (Xu et al., IJCAI 2022), graph partition; the selection rule reproduces its published parts.
    """
    candidates = spectral_candidates(weights, num_parts, range(seed, seed + num_seeds))
    if len(candidates) == 1:
        return candidates[0]
    score = _scikit_learn()[1]
    return max(candidates, key=lambda assignment: score(weights, assignment))


def spectral_candidates(weights: np.ndarray, num_parts: int, seeds: Iterable[int]) -> list[np.ndarray]:
    """One spectral clustering a seed, repeats left out, in the order of the seeds."""
    num_labels = len(weights)
    if not 1 <= num_parts <= num_labels:
        raise ValueError(f"{num_labels} labels cannot form {num_parts} parts; expected 1 to {num_labels}.")
    if num_parts in (1, num_labels):
        return [np.arange(num_labels) % num_parts]
    cluster = _scikit_learn()[0]
    from threadpoolctl import threadpool_limits

    found: dict[bytes, np.ndarray] = {}
    for seed in seeds:
        model = cluster(num_parts, affinity="precomputed", n_init=KMEANS_STARTS, random_state=seed)
        # so small a graph is clustered fastest on one thread, whatever the machine offers
        with warnings.catch_warnings(), threadpool_limits(limits=1):
            # a graph in several components, or with twin labels, is an ordinary label graph
            warnings.simplefilter("ignore", UserWarning)
            assignment = fill_empty_parts(weights, model.fit_predict(weights), num_parts)
        assignment = order_parts(assignment)
        found.setdefault(assignment.tobytes(), assignment)
    return list(found.values())


def fill_empty_parts(weights: np.ndarray, assignment: np.ndarray, num_parts: int) -> np.ndarray:
    """Give every empty part the label that is least tied to a part it shares with others."""
    filled = np.array(assignment, dtype=np.int64)
    for part in range(num_parts):
        if (filled == part).any():
            continue
        own = (weights * (filled[:, None] == filled[None, :])).sum(axis=1)
        shared = np.bincount(filled, minlength=num_parts)[filled] > 1
        filled[np.where(shared, own, np.inf).argmin()] = part
    return filled


def order_parts(assignment: np.ndarray) -> np.ndarray:
    """The same partition with its parts numbered by their first label, so that equal partitions are equal."""
    _, first, inverse = np.unique(assignment, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _scikit_learn() -> tuple[Callable[..., Any], Callable[..., float]]:
    try:
        from sklearn.cluster import SpectralClustering
        from sklearn.metrics import calinski_harabasz_score
    except ImportError as error:
        raise ImportError(
            "Partitioning the label graph needs scikit-learn; install it with: pip install 'mlic_hf[data]'"
        ) from error
    return SpectralClustering, calinski_harabasz_score
