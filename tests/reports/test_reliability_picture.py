"""The reliability picture is drawn, with empty bins left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mlic_hf.reports import draw_reliability


def test_two_curves_over_the_diagonal(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random((200, 3))
    targets = (scores > 0.5).astype(int)
    targets[:20] = -1
    draw_reliability({"before": scores, "after": 0.1 + 0.5 * scores}, targets, tmp_path / "reliability.png")
    with Image.open(tmp_path / "reliability.png") as picture:
        assert min(picture.size) > 300
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20
