from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlic_hf.metrics import mean_average_precision, paired_bootstrap_gain
from mlic_hf.reports import draw_gains, gains_table, measure_gains
from tests.metrics import inputs


def test_a_gain_is_measured_on_the_seeds_that_both_have(tmp_path: Path) -> None:
    scores, targets = inputs.make("left_out", images=60)
    noise = np.random.default_rng(0)
    base = {seed: scores + 2 * noise.normal(size=scores.shape) for seed in (1, 2)}
    better = {seed: scores + noise.normal(size=scores.shape) for seed in (1, 2, 3)}
    found = measure_gains({"baseline": base, "better": better, "alone": {4: scores}}, targets, "baseline", 50)
    expected = paired_bootstrap_gain([better[1], better[2]], [base[1], base[2]], targets, 50)
    assert [variant.name for variant in found] == ["baseline", "better", "alone"]
    assert found[0].gain is None
    assert found[1].gain is not None
    assert (found[1].gain.value, found[1].gain.low) == (expected.value, expected.low)
    assert found[1].scores[3] == mean_average_precision(better[3], targets)[0]
    assert found[2].gain is None  # no seed in common: nothing is claimed
    table = gains_table(found).splitlines()
    assert table[0] == "| mAP | seed 1 | seed 2 | seed 3 | seed 4 | mean | s.d. | gain | 95 % interval |"
    assert {line.count("|") for line in table} == {10}
    assert f"| {100 * expected.value:+.2f} | {100 * expected.low:+.2f} to {100 * expected.high:+.2f} |" in table[3]
    draw_gains(found, {"baseline": {1.0: 0.5, 2.0: 0.6}, "better": {1.0: 0.4}}, tmp_path / "gains.png")
    assert (tmp_path / "gains.png").stat().st_size > 1000


@pytest.mark.parametrize(("shift", "clear"), [(0.0, False), (3.0, True)])
def test_a_gain_is_clear_where_its_interval_leaves_0_out(shift: float, clear: bool) -> None:
    rng = np.random.default_rng(3)
    targets = (rng.random((200, 3)) < 0.3).astype(int)
    base, other = rng.normal(size=(2, 200, 3))
    found = measure_gains({"baseline": {0: base}, "other": {0: other + shift * targets}}, targets, "baseline", 200)
    assert found[1].clear is clear
