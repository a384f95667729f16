"""The label graph of PSD: its two affinities and the normalised cut of a partition of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GRAPH_KINDS = ("cgp", "dgp")


def conditional_probability(cooccurrence: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """How often each label accompanies another: `P[i, j]` = p(label i | label j).

    Args:
        cooccurrence: (C, C), images that hold both labels; the diagonal is not used.
        counts: (C,), images that hold the label.

    Returns:
        (C, C) float64 with a zero diagonal; the column of a label that never occurs is zero.

    Raises:
        ValueError: if the two do not describe one set of images.

    Paper: PSD (Xu et al., IJCAI 2022), label co-occurrence graph.
    """
    pairs = np.array(cooccurrence, dtype=np.float64)
    occurrences = np.asarray(counts, dtype=np.float64)
    if occurrences.ndim != 1 or pairs.shape != (len(occurrences), len(occurrences)):
        raise ValueError(
            f"The co-occurrence counts have shape {pairs.shape} and the label counts {occurrences.shape}; "
            "expected (C, C) and (C,) for the same C labels."
        )
    np.fill_diagonal(pairs, 0.0)
    _check_counts(pairs, occurrences)
    return np.divide(pairs, occurrences, out=np.zeros_like(pairs), where=occurrences > 0)


def affinity(cooccurrence: np.ndarray, counts: np.ndarray, kind: str) -> np.ndarray:
    """Edge weights of the label graph, for either of PSD's two partitions.

    `cgp` (co-occurrence graph: joint patterns) weighs labels that meet, S = sym(sqrt(P)); `dgp`
    (dis-occurrence graph: category-specific patterns) those that do not, S = sym(1 - sqrt(P)), with
    sym(M) = (M + M^T) / 2 and P = `conditional_probability`.

    Args:
        cooccurrence: (C, C), images that hold both labels.
        counts: (C,), images that hold the label.
        kind: "cgp" or "dgp".

    Returns:
        (C, C) float64, symmetric, in [0, 1], diagonal 0.

    Raises:
        ValueError: for another kind, or counts that contradict each other.

    Paper: PSD (Xu et al., IJCAI 2022), co-occurrence and dis-occurrence graph partition.
    """
    if kind not in GRAPH_KINDS:
        raise ValueError(f"There is no label graph of kind {kind!r}; expected one of {', '.join(GRAPH_KINDS)}.")
    root = np.sqrt(conditional_probability(cooccurrence, counts))
    weights = root if kind == "cgp" else 1.0 - root
    weights = (weights + weights.T) / 2
    # Differs: the originals leave 1 on the diagonal of the dgp graph; a cut has no edge from a label to
    # itself, so both graphs have none here (a test holds the value of the cut).
    np.fill_diagonal(weights, 0.0)
    return weights


def normalized_cut(weights: np.ndarray, assignment: Sequence[int] | np.ndarray) -> float:
    """Normalised cut of a partition: sum over parts of cut(part, rest) / volume(part).

    The volume is the sum of the degrees of a part's labels. A part without any edge counts 1, as a
    part whose edges all leave it does.

    Args:
        weights: (C, C) symmetric affinity with a zero diagonal.
        assignment: (C,) integers, the part of each label.

    Returns:
        A number between 0 and the number of parts; lower is better.

    Raises:
        ValueError: if the assignment is not one integer per label.

    Source: Shi and Malik 2000, "Normalized cuts and image segmentation", equation 2, for k parts.
    """
    parts = np.asarray(assignment)
    if parts.shape != (len(weights),):
        raise ValueError(f"An assignment of {len(weights)} labels was expected, found shape {parts.shape}.")
    inside, volume = part_sums(weights, np.unique(parts, return_inverse=True)[1])
    return float(len(volume) - inside_ratio(inside, volume).sum())


def part_sums(weights: np.ndarray, assignment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight inside each part (ordered pairs) and each part's volume, both (k,), for parts 0..k-1."""
    member = np.eye(int(assignment.max()) + 1)[assignment]
    links = weights @ member
    return np.einsum("ck,ck->k", links, member), links.sum(axis=1) @ member


def inside_ratio(inside: np.ndarray, volume: np.ndarray) -> np.ndarray:
    """inside / volume, and 0 where there is no volume; the cut is the number of parts minus their sum."""
    # sums updated step by step leave a rounding residue where nothing is left
    positive = volume > 1e-9
    return np.divide(inside, volume, out=np.zeros(np.shape(volume)), where=positive)


def _check_counts(pairs: np.ndarray, occurrences: np.ndarray) -> None:
    if not (np.isfinite(pairs).all() and np.isfinite(occurrences).all()):
        raise ValueError("The co-occurrence counts hold values that are not finite; expected numbers of images.")
    if (pairs < 0).any() or (occurrences < 0).any():
        raise ValueError("The co-occurrence counts hold negative values; expected numbers of images.")
    if not np.array_equal(pairs, pairs.T):
        i, j = np.argwhere(pairs != pairs.T)[0]
        raise ValueError(
            f"The co-occurrence counts are not symmetric: [{i}, {j}] is {pairs[i, j]:g} and [{j}, {i}] is "
            f"{pairs[j, i]:g}; expected the images that hold both labels."
        )
    excess = pairs > np.minimum.outer(occurrences, occurrences)
    if excess.any():
        i, j = np.argwhere(excess)[0]
        raise ValueError(
            f"Labels {i} and {j} are counted together in {pairs[i, j]:g} images, but alone in "
            f"{occurrences[i]:g} and {occurrences[j]:g}; expected no more pairs than images of either label."
        )
