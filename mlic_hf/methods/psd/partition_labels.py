"""From the label counts of a training set to its partition: its graph, its cut, its leftovers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mlic_hf.methods.psd.graph import affinity, normalized_cut
from mlic_hf.methods.psd.partition import KINDS, Partition
from mlic_hf.methods.psd.refine import random_partition, refined_partition
from mlic_hf.methods.psd.spectral import order_parts, spectral_partition

METHODS: dict[str, Callable[..., np.ndarray]] = {"spectral": spectral_partition, "refine": refined_partition}
DEFAULT_METHODS = {"cgp": "spectral", "dgp": "refine", "random": "random"}


def partition_labels(
    cooccurrence: np.ndarray,
    counts: np.ndarray,
    names: Sequence[str],
    kind: str,
    num_parts: int,
    method: str | None = None,
    seed: int = 0,
    source: str = "",
) -> Partition:
    """Partition the labels of a training set.

    A label that never occurs, or that has no edge in the graph, is no evidence for any part: those labels are
    left out of the cut and put, in label order, into the part that has the fewest labels at that moment (the
    first of equals). Where fewer labels have edges than parts are wanted, they fill the parts left empty.

    Args:
        cooccurrence: (C, C), training images that hold both labels.
        counts: (C,), training images that hold the label.
        names: the C label names.
        kind: "cgp", "dgp" or "random" (balanced, drawn from `seed`; the control experiment).
        num_parts: 1 to C.
        method: "spectral" (the published rule) or "refine" (lowest cut by local moves); None: spectral
            for cgp, refine for dgp.
        seed: the first seed.
        source: where the counts came from, in words.

    Returns:
        The partition; its parts are ordered by their first label, labels within a part by label order.

    Raises:
        ValueError: for an unknown kind or method, or counts, names and number of parts that do not fit.
        ImportError: without scikit-learn (not needed for "random").

    Paper: PSD (Xu et al., IJCAI 2022), co-occurrence and dis-occurrence graph partition.
    """
    labels = tuple(str(name) for name in names)
    if not 1 <= num_parts <= len(labels):
        raise ValueError(f"{len(labels)} labels cannot form {num_parts} parts; expected 1 to {len(labels)}.")
    method = _checked_method(kind, method)
    cut: float | None = None
    if kind == "random":
        assignment = random_partition(len(labels), num_parts, np.random.default_rng(seed))
    else:
        weights = affinity(cooccurrence, counts, kind)
        if len(weights) != len(labels):
            raise ValueError(f"There are counts for {len(weights)} labels, but {len(labels)} label names.")
        connected = np.flatnonzero((np.asarray(counts) > 0) & (weights.sum(axis=1) > 0))
        assignment, cut = _partition_graph(weights, connected, num_parts, METHODS[method], seed)
    parts = tuple(tuple(labels[i] for i in np.flatnonzero(assignment == part)) for part in range(num_parts))
    return Partition(kind, labels, parts, cut, seed, method, source)


def _partition_graph(
    weights: np.ndarray, connected: np.ndarray, num_parts: int, cluster: Callable[..., np.ndarray], seed: int
) -> tuple[np.ndarray, float]:
    """Cut the connected labels, then place the others; the cut counts the connected ones only."""
    assignment = np.full(len(weights), -1, dtype=np.int64)
    sizes, cut = np.zeros(num_parts, dtype=np.int64), 0.0
    if len(connected):
        graph = weights[np.ix_(connected, connected)]
        assignment[connected] = cluster(graph, min(num_parts, len(connected)), seed=seed)
        sizes = np.bincount(assignment[connected], minlength=num_parts)
        cut = normalized_cut(graph, assignment[connected])
    for label in np.flatnonzero(assignment < 0):
        assignment[label] = sizes.argmin()
        sizes[assignment[label]] += 1
    return order_parts(assignment), cut


def _checked_method(kind: str, method: str | None) -> str:
    if kind not in KINDS:
        raise ValueError(f"A partition of kind {kind!r} is unknown; expected one of {', '.join(KINDS)}.")
    if method is None:
        return DEFAULT_METHODS[kind]
    if kind == "random":
        raise ValueError(f"A random partition cuts no graph; leave out the method {method!r}.")
    if method not in METHODS:
        raise ValueError(f"There is no partition method {method!r}; expected one of {', '.join(METHODS)}.")
    return method
