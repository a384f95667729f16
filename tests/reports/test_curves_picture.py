"""The picture of a run's curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mlic_hf.reports import curves_picture
from mlic_hf.reports.curves_picture import curve, draw_curves

LOG: list[dict[str, Any]] = [
    {"loss": 3.0, "epoch": 1.0, "step": 4},
    {"eval_loss": 2.5, "eval_mAP": 0.4, "eval_plain_mAP": 0.4, "eval_ema_mAP": 0.3, "epoch": 1.0, "step": 4},
    {"loss": float("nan"), "epoch": 1.5, "step": 6},
    {"loss": 2.0, "epoch": 2.0, "step": 8},
    {"train_runtime": 3.0, "step": 8},
]


def drawn(monkeypatch: pytest.MonkeyPatch, log: list[dict[str, Any]], path: Path) -> dict[str, list[str]]:
    """The curves of each panel."""
    panels: dict[str, list[str]] = {}
    monkeypatch.setattr(
        curves_picture,
        "quiet_axes",
        lambda axes: panels.update({axes.get_ylabel(): [line.get_label() for line in axes.lines]}),
    )
    draw_curves(log, path)
    return panels


def test_a_curve_is_finite_and_in_the_order_of_epochs() -> None:
    assert curve(LOG, "loss") == ([1.0, 2.0], [3.0, 2.0])
    assert curve(LOG[::-1], "loss") == ([1.0, 2.0], [3.0, 2.0])
    assert curve(LOG, "accuracy") == ([], [])


def test_losses_beside_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panels = drawn(monkeypatch, LOG, tmp_path / "curves.png")
    assert panels == {
        "loss in training": ["all terms"],
        "loss on validation": ["binary cross-entropy"],
        "mAP on validation": ["plain weights", "averaged weights"],
    }
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 2 * picture.height


def test_without_an_average_and_without_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = [{"eval_mAP": 0.5, "epoch": 1.0}]
    assert drawn(monkeypatch, log, tmp_path / "a.png") == {"mAP on validation": ["all"]}
    assert drawn(monkeypatch, LOG[:1], tmp_path / "b.png") == {"loss in training": ["all terms"]}


def test_a_log_of_neither(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="The log has 1 lines and none with a loss or an mAP"):
        draw_curves(LOG[-1:], tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
