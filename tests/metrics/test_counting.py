from __future__ import annotations

import numpy as np
import pytest

from mlic_hf.metrics import counting

SHAPES = {
    "normal": lambda rng: rng.normal(size=6000),
    "sigmoid": lambda rng: 1 / (1 + np.exp(-3 * rng.normal(size=6000) + 5)),
    "tied": lambda rng: np.round(rng.normal(size=6000), 1),
    "constant": lambda rng: np.full(6000, 0.25),
    "two": lambda rng: rng.integers(0, 2, 6000).astype(float),
    "outlier": lambda rng: np.append(rng.normal(size=5999), 1e30),
    "huge_range": lambda rng: np.append(rng.normal(size=5998), [-3e38, 3e38]),
    "tiny_range": lambda rng: np.append(np.full(5999, 0.0), 1e-45),
    "tiny": lambda rng: rng.normal(size=6000) * 1e-38,
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("number", [1, 50, 599])
def test_equals_sorting_everything(shape: str, dtype: type, side: str, number: int) -> None:
    rng = np.random.default_rng(number)
    scores = SHAPES[shape](rng).astype(dtype)
    wanted = np.sort(np.append(rng.choice(scores, number - 1), scores.max()))
    expected = scores.size - np.searchsorted(np.sort(scores), wanted, side)
    np.testing.assert_array_equal(counting.count_reaching(scores, wanted, side), expected)


def test_the_detour_is_taken_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    sort = np.sort
    monkeypatch.setattr(counting.np, "sort", lambda values: sizes.append(values.size) or sort(values))
    scores = np.random.default_rng(0).random(6000)
    wanted = sort(scores[:300])
    counting.count_reaching(scores, wanted)
    counting.count_reaching(scores[:4000], wanted)
    counting.count_reaching(scores, sort(scores[:601]))
    assert sizes[0] < 600
    assert sizes[1:] == [4000, 6000]
