from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib")
console_module = pytest.importorskip("rich.console")

from mlic_hf.metrics import average_precision, multilabel_metrics  # noqa: E402
from mlic_hf.reports import co_occurrence, evaluation_report, per_label_rows, print_tables  # noqa: E402

PICTURES = ["ap_against_frequency.png", "co_occurrence.png", "precision_recall.png"]


def draw(images: int = 90, labels: int = 6) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(labels)
    targets = (rng.random((images, labels)) < 0.3).astype(np.float32)
    scores = (0.6 * rng.random(targets.shape) + 0.4 * targets * rng.random(targets.shape)).astype(np.float32)
    targets[rng.random(targets.shape) < 0.1] = -1
    return scores, targets, [f"thing {label}" for label in range(labels)]


def report(folder: Path, *arguments: object, **options: object) -> tuple[dict[str, float], str]:
    stream = io.StringIO()
    console = console_module.Console(file=stream, width=160)
    metrics = evaluation_report(*arguments, folder, console=console, **options)  # type: ignore[arg-type]
    return metrics, stream.getvalue()


@pytest.mark.parametrize("labels", [1, 6, 45])
def test_everything_is_written_and_says_the_same(tmp_path: Path, labels: int) -> None:
    scores, targets, names = draw(labels=labels)
    targets[:, -1] = np.where(labels > 1, 0, targets[:, -1])
    thresholds = np.linspace(0.3, 0.5, labels)
    counts = list(range(labels))
    metrics, text = report(
        tmp_path / "new" / "folder",
        scores,
        targets,
        names,
        thresholds=thresholds,
        train_counts=counts,
        about={"seed": 4},
    )
    folder = tmp_path / "new" / "folder"
    assert metrics == multilabel_metrics(scores, targets, thresholds)
    read = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert read["format_version"] == 1
    assert read["seed"] == 4
    assert read["metrics"] == metrics
    assert read["thresholds"] == dict(zip(names, thresholds.tolist()))
    assert read["left_out_of_means"] == ([names[-1]] if labels > 1 else [])
    with (folder / "per_label.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    expected = average_precision(scores, targets)
    assert [row["label"] for row in rows] == names
    assert [row["AP"] for row in rows] == ["" if np.isnan(value) else str(float(value)) for value in expected]
    assert [row["train_positives"] for row in rows] == [str(count) for count in counts]
    assert f"mAP\u00a0{metrics['mAP']:.4f}" in text
    assert sorted(path.name for path in folder.glob("*.png")) == PICTURES


def test_pictures_are_not_blank(tmp_path: Path) -> None:
    report(tmp_path, *draw())
    for name in PICTURES:
        picture = Image.open(tmp_path / name).convert("RGB")
        assert min(picture.size) > 300
        assert len(picture.getcolors(1 << 24)) > 50


def test_the_table_shows_the_worst_labels_first(tmp_path: Path) -> None:
    scores, targets, names = draw(labels=20)
    _, text = report(tmp_path, scores, targets, names)
    order = np.argsort(average_precision(scores, targets))
    places = [text.index(f"{names[label]} ") for label in order[:12]]
    assert places == sorted(places)
    assert "12 of 20 labels, lowest AP first" in text
    assert f"{names[order[-1]]} " not in text


def test_the_tables_fit_on_80_columns() -> None:
    scores, targets, _ = draw(labels=14)
    names = [f"a label with a name that is long, number {label}" for label in range(13)] + ["ant"]
    rows = per_label_rows(scores, targets, names, [0.5] * 14, [1_000_000] * 14)
    stream = io.StringIO()
    print_tables(multilabel_metrics(scores, targets), rows, console_module.Console(file=stream, width=80))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    head = next(line for line in lines if line.startswith("label"))
    assert head.split() == ["label", "train", "images", "AP", "precision", "recall", "F1", "threshold"]
    table = lines[lines.index(head) + 2 :][:12]
    shown = sorted(range(14), key=lambda label: rows[label]["AP"])[:12]
    for line, label in zip(table, shown):
        row = rows[label]
        numbers = [f"{row[column]:.3f}" for column in ("AP", "precision", "recall", "F1", "threshold")]
        assert line.split()[-7:] == ["1000000", str(row["positives"]), *numbers]
    groups = [line for line in lines if line.startswith("│")]
    values = " ".join(line.split("│")[2].strip() for line in groups).replace("\u00a0", " ").split()
    assert len(values) % 2 == 0
    assert all(float(number) >= 0 for number in values[1::2])
    for line in groups:
        assert len(line.split("│")[2].replace("\u00a0", " ").split()) % 2 == 0, "a name is parted from its number"


def test_interval_of_the_mean(tmp_path: Path) -> None:
    metrics, text = report(tmp_path, *draw(), resamples=20)
    assert metrics["mAP_low"] < metrics["mAP"] < metrics["mAP_high"]
    assert f"mAP_low\u00a0{metrics['mAP_low']:.4f}" in text
    with pytest.raises(ValueError, match="set resamples to 0"):
        report(tmp_path, *draw(), resamples=20, kind="voc2012")


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    scores, targets, names = draw()
    with pytest.raises(ValueError, match=r"5 label names \(5 different\) for scores of shape \(90, 6\)"):
        report(tmp_path, scores, targets, names[:5])
    with pytest.raises(ValueError, match=r"6 label names \(5 different\)"):
        report(tmp_path, scores, targets, [*names[:5], names[0]])
    with pytest.raises(ValueError, match="2 training counts for 6 labels"):
        report(tmp_path, scores, targets, names, train_counts=[1, 2])
    assert list(tmp_path.iterdir()) == []


def test_co_occurrence_by_hand() -> None:
    decisions = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)
    expected = [[np.nan, 0.5, 0], [1, np.nan, 0], [np.nan, np.nan, np.nan]]
    np.testing.assert_array_equal(co_occurrence(decisions), expected)


def test_rows_of_a_label_without_positives() -> None:
    scores, targets, names = draw()
    targets[:, 2] = 0
    row = per_label_rows(scores, targets, names, [0.5] * 6)[2]
    assert (row["AP"], row["recall"], row["positives"]) == (None, None, 0)
    assert "train_positives" not in row
