"""How many scores reach each of a few given ones: all that average precision needs, for less than a sort."""

from __future__ import annotations

from typing import Literal

import numpy as np

BUCKETS = 1 << 15
# Below this many scores, or above this share of wanted ones, sorting everything is quicker than the detour.
FEWEST_SCORES = 4096
LARGEST_SHARE = 0.1


def count_reaching(scores: np.ndarray, wanted: np.ndarray, side: Literal["left", "right"] = "left") -> np.ndarray:
    """For each wanted score, how many scores are at least as high (side "left") or strictly higher ("right").

    Exact. The scores are put in equally wide buckets; subtracting, scaling and cutting to a whole number
    never change the order of two scores, so every score of a higher bucket is higher. Only the buckets that
    hold a wanted score are sorted. Where that spares nothing (few scores, many wanted ones), all are sorted.

    Args:
        scores: (n,) finite floats.
        wanted: (k,) of them, ascending.
        side: whether equal scores count ("left") or not ("right").

    Returns:
        (k,) whole numbers.
    """
    if scores.size < FEWEST_SCORES or wanted.size > LARGEST_SHARE * scores.size:
        return scores.size - np.searchsorted(np.sort(scores), wanted, side)
    low = scores.min()
    with np.errstate(all="ignore"):  # a range of 0, or one beyond the largest float
        scale = scores.dtype.type(BUCKETS) / (scores.max() - low)
    if not 0 < scale < np.inf:
        return scores.size - np.searchsorted(np.sort(scores), wanted, side)
    places = ((scores - low) * scale).astype(np.int32)
    wanted_places = ((wanted - low) * scale).astype(np.int32)
    sizes = np.bincount(places, minlength=BUCKETS + 2)  # rounding can lift the highest score one bucket further
    higher = scores.size - np.cumsum(sizes)
    holds_wanted = np.zeros(sizes.size, dtype=bool)
    holds_wanted[wanted_places] = True
    near = np.sort(scores[holds_wanted[places]])
    bucket_ends = np.cumsum(np.where(holds_wanted, sizes, 0))[wanted_places]
    return higher[wanted_places] + bucket_ends - np.searchsorted(near, wanted, side)
