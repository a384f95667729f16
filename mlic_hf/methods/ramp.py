"""A weight that rises over the first share of a run."""

from __future__ import annotations


def ramp_share(progress: float, ramp: float) -> float:
    """How much of its weight an objective has: rising linearly from 0, all of it once `ramp` of the run is done.

    Args:
        progress: the share of the run that is done, in [0, 1].
        ramp: the share of the run in which the weight rises; 0 for all of it from the start.
    """
    return min(1.0, progress / ramp) if ramp > 0 else 1.0
