"""A weight that rises over the first share of a run."""

from __future__ import annotations

from mlic_hf.methods.ramp import ramp_share


def test_a_ramp_rises_linearly_and_stays() -> None:
    assert [ramp_share(progress, 0.2) for progress in (0.0, 0.1, 0.2, 0.9)] == [0.0, 0.5, 1.0, 1.0]
    assert ramp_share(0.0, 0.0) == 1.0
