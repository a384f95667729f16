"""The tables of benchmarks.imperfect_labels, from the logits that its runs left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlic_hf.metrics import (
    apply_calibration,
    average_precision,
    calibration_error,
    fit_calibration,
    mean_average_precision,
    paired_bootstrap_gain,
)
from mlic_hf.reports import draw_reliability

GROUPS = {"head": (100, 10**9), "middle": (20, 100), "tail": (1, 20)}  # training images that a label has

Logits = Mapping[str, Sequence[np.ndarray]]


def mean_score(runs: Sequence[np.ndarray], targets: np.ndarray) -> float:
    """mAP in percent, the mean over seeds."""
    return 100 * float(np.mean([mean_average_precision(run, targets)[0] for run in runs]))


def gain(runs: Sequence[np.ndarray], baseline: Sequence[np.ndarray], targets: np.ndarray) -> str:
    """The paired gain with its 95 % interval, over images and seeds."""
    found = paired_bootstrap_gain(runs, baseline, targets)
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def missing_table(logits: Logits, targets: np.ndarray) -> str:
    """Each loss beside assume negative, and how much it closes of the gap to whole labels."""
    low, high = (mean_score(logits[name], targets) for name in ("assume negative", "full labels"))
    lines = ["| loss | test mAP | s.d. | gain over assume negative | of the gap |", "|---|---|---|---|---|"]
    for name, runs in sorted(logits.items(), key=lambda item: -mean_score(item[1], targets)):
        spread = np.std([mean_score([run], targets) for run in runs], ddof=1)
        told = "" if name == "assume negative" else gain(runs, logits["assume negative"], targets)
        score = mean_score(runs, targets)
        closed = "" if name in ("assume negative", "full labels") else f"{100 * (score - low) / (high - low):.0f} %"
        lines.append(f"| {name} | {score:.1f} | {spread:.2f} | {told} | {closed} |")
    return "\n".join(lines)


def rare_table(logits: Logits, targets: np.ndarray, counts: np.ndarray) -> str:
    """mAP over all labels and over head, middle and tail, by the training images a label has."""
    present = (targets > 0).any(axis=0)
    groups = {name: present & (counts >= low) & (counts < high) for name, (low, high) in GROUPS.items()}
    members = {"all": present} | {name: of for name, of in groups.items() if of.any()}
    gains = [name for name in ("all", "tail") if name in members]
    title = [*(f"{name} ({of.sum()})" for name, of in members.items()), *(f"gain, {name}" for name in gains)]
    lines = [f"| loss | {' | '.join(title)} |", "|---|" + "---|" * len(title)]
    for name, runs in logits.items():
        scores = [mean_score([run[:, of] for run in runs], targets[:, of]) for of in members.values()]
        told = [
            ""
            if name == "bce"
            else gain(*([run[:, of] for run in some] for some in (runs, logits["bce"])), targets[:, of])
            for of in (members[group] for group in gains)
        ]
        lines.append(f"| {name} | " + " | ".join([*(f"{score:.1f}" for score in scores), *told]) + " |")
    return "\n".join(lines)


def calibration_table(
    logits: Logits, of_validation: Logits, targets: np.ndarray, validation: np.ndarray, picture: Path
) -> str:
    """The calibration error on test before and after, fitted on validation; mAP does not change."""
    lines = ["| loss | before | temperature | Platt | mAP before | mAP after |", "|---|---|---|---|---|---|"]
    for name, runs in logits.items():
        found: list[list[float]] = []
        for run, fitting in zip(runs, of_validation[name]):
            plain = [[1.0, 0.0]] * run.shape[1]
            pairs = [plain, *(fit_calibration(fitting, validation, rule) for rule in ("temperature", "platt"))]
            scores = [apply_calibration(run, pair) for pair in pairs]
            maps = [mean_average_precision(score, targets)[0] for score in (scores[0], scores[2])]
            np.testing.assert_allclose(average_precision(scores[0], targets), average_precision(scores[2], targets))
            found.append([*(100 * calibration_error(score, targets) for score in scores), *(100 * m for m in maps)])
        draw_reliability(
            {"before": scores[0], "after": scores[2]}, targets, picture.with_stem(f"{picture.stem}_{name}")
        )
        errors, both = np.array(found)[:, :3], np.array(found)[:, 3:].mean(axis=0)
        cells = [
            f"{mean:.2f} ± {spread:.2f} %" for mean, spread in zip(errors.mean(axis=0), errors.std(axis=0, ddof=1))
        ]
        lines.append(f"| {name} | " + " | ".join([*cells, *(f"{value:.2f}" for value in both)]) + " |")
    return "\n".join(lines)


def write(path: Path, *parts: Any) -> None:
    """Print a table and keep it."""
    text = "\n".join(str(part) for part in parts)
    path.write_text(text + "\n", encoding="utf-8")
    print(text)
