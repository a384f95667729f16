from __future__ import annotations

from benchmarks.metrics import section


def test_the_benchmark_runs_and_agrees_with_scikit_learn() -> None:
    text = section(quick=True)  # raises where the two mAPs differ
    assert text.startswith("## Metrics\n")
    assert "| 4000 x 80 | 0." in text
    assert "bootstrap_map, 20 resamples" in text
