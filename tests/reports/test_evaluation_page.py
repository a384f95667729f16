from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="needs the reports extra")

from mlic_hf.metrics import average_precision, paired_bootstrap_map
from mlic_hf.reports.evaluation_page import FEWEST, most_wrong, write_evaluation_page
from tests.browser import page
from tests.reports.test_evaluation_report import draw


def pictures(count: int) -> list[dict[str, Any]]:
    colours = np.random.default_rng(0).integers(0, 256, (count, 3))
    return [
        {"image": Image.new("RGB", (40, 30), tuple(map(int, c))), "image_id": f"<{i}>"} for i, c in enumerate(colours)
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scores, targets, names = draw()
    names[0] = "<script>alert(1)</script>"
    targets[:, 5] = 0
    targets[:3, 5] = 1
    other = np.clip(scores + np.random.default_rng(1).normal(0, 0.4, scores.shape), 0, 1)
    path = tmp_path_factory.mktemp("page") / "deep" / "report.html"
    write_evaluation_page(
        path,
        "model & data",
        scores,
        targets,
        names,
        pictures(90),
        thresholds=0.4,
        train_counts=range(6),
        compare={"another <model>": other},
        resamples=60,
        images=9,
    )
    return path


class Rows(HTMLParser):
    """The texts of the cells of every table row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


def test_its_numbers_are_those_of_the_metrics(written: Path) -> None:
    scores, targets, names = draw()
    targets[:, 5] = 0
    targets[:3, 5] = 1
    other = np.clip(scores + np.random.default_rng(1).normal(0, 0.4, scores.shape), 0, 1)
    found = Rows()
    found.feed(written.read_text(encoding="utf-8"))
    rows = {row[0]: row for row in found.rows if len(row) == 5}
    gain = paired_bootstrap_map(scores, other, targets, 60)
    assert rows["all (mAP)"][4] == f"{100 * gain.value:+.2f} ({100 * gain.low:+.2f} to {100 * gain.high:+.2f})"
    labels = [row for row in found.rows if len(row) == 12 and row[0].startswith("thing")]
    expected = average_precision(scores, targets)
    assert [row[0] for row in labels] == [names[i] for i in np.argsort(expected) if i != 0]
    place = next(row for row in found.rows if len(row) == 12 and row[0] == "label").index("AP")
    assert {row[0]: row[place] for row in labels} == {names[i]: f"{expected[i]:.3f}" for i in range(1, 6)}
    assert FEWEST > 3
    pair = 100 * (average_precision(scores, targets)[5] - average_precision(other, targets)[5])
    assert rows["thing 5"][4] == f"{pair:+.2f}", "a label of three images has no interval"


def test_it_is_whole_and_runs_nothing(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "default-src 'none'" in text
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", text)
    assert len(re.findall("<figure>", text)) == 9
    assert len(re.findall("data:image/png", text)) == 4


def test_the_worst_are_the_costliest() -> None:
    scores, targets, _ = draw()
    cost = [
        np.mean([-np.log(s if t == 1 else 1 - s) for s, t in zip(row, wanted) if t >= 0])
        for row, wanted in zip(scores, targets)
    ]
    assert most_wrong(scores, targets, 7).tolist() == np.argsort(cost)[::-1][:7].tolist()


def test_in_a_browser_without_a_network(written: Path) -> None:
    with page(offline=True) as (shown, errors):
        shown.goto(written.as_uri())
        assert shown.title() == "model & data"
        broken = shown.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).length")
        wide = shown.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert (broken, wide, errors) == (0, 0, [])
        assert shown.locator("h2").all_inner_texts() == [
            "Against another <model>",
            *("Labels", "Curves", "Frequency", "Calibration", "Co-occurrence", "Most wrong"),
        ]
