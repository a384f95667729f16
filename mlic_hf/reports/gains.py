"""What variants gain over a baseline: the numbers, a table and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mlic_hf.metrics import BootstrapInterval, mean_average_precision, paired_bootstrap_gain
from mlic_hf.reports.figure import figure, quiet_axes


@dataclass(frozen=True)
class Variant:
    """A variant's mAP by seed, and its gain over the baseline on the seeds that both have (None for the baseline)."""

    name: str
    scores: dict[int, float]
    gain: BootstrapInterval | None

    @property
    def clear(self) -> bool:
        """Whether the interval of the gain leaves 0 out."""
        return self.gain is not None and not self.gain.low <= 0 <= self.gain.high


def measure_gains(
    scores: Mapping[str, Mapping[int, Any]], targets: Any, baseline: str, resamples: int = 1000
) -> list[Variant]:
    """The mAP of every run and the paired gain of every variant, over images and seeds together.

    Args:
        scores: variant -> seed -> (images, labels); without the seeds and variants that are not there yet.
        targets: (images, labels) of 1, 0 and -1, common to all.
        baseline: the variant that the others are compared with, seed by seed.
        resamples: of the bootstrap.
    """
    found = []
    for name, runs in scores.items():
        shared = [] if name == baseline else [seed for seed in runs if seed in scores.get(baseline, {})]
        pairs = [runs[seed] for seed in shared], [scores[baseline][seed] for seed in shared]
        gain = paired_bootstrap_gain(*pairs, targets, resamples) if shared else None
        values = {seed: mean_average_precision(run, targets)[0] for seed, run in runs.items()}
        found.append(Variant(name, values, gain))
    return found


def gains_table(variants: Sequence[Variant]) -> str:
    """Markdown, in percent: a row a variant; its mAP by seed, their mean and deviation, the gain and its interval."""
    seeds = list(dict.fromkeys(seed for variant in variants for seed in variant.scores))
    lines = ["| mAP | " + "".join(f"seed {seed} | " for seed in seeds) + "mean | s.d. | gain | 95 % interval |"]
    lines.append("|---|" + "---|" * (len(seeds) + 4))
    for variant in variants:
        values = [100 * value for value in variant.scores.values()]
        cells = [f"{100 * variant.scores[seed]:.2f}" if seed in variant.scores else "" for seed in seeds]
        cells += [f"{mean(values):.2f}" if values else "", f"{stdev(values):.2f}" if len(values) > 1 else ""]
        gain = variant.gain
        cells += (
            ["", ""]
            if gain is None
            else [f"{100 * gain.value:+.2f}", f"{100 * gain.low:+.2f} to {100 * gain.high:+.2f}"]
        )
        lines.append(f"| {variant.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw_gains(variants: Sequence[Variant], histories: Mapping[str, Mapping[float, float]], path: Path) -> None:
    """Draw the gains with their intervals, and validation mAP by epoch.

    Args:
        variants: of `measure_gains`.
        histories: variant -> epoch -> mAP on validation, a mean over its seeds.
        path: of the PNG.
    """
    compared = [variant for variant in variants if variant.gain is not None]
    with figure(path, 10, max(3.2, 1.2 + 0.4 * len(compared))) as drawing:
        left, right = drawing.subplots(1, 2)
        for row, variant in enumerate(compared):
            gain = variant.gain
            assert gain is not None
            colour = "tab:blue" if variant.clear else "tab:gray"
            left.plot([100 * gain.low, 100 * gain.high], [row, row], color=colour, linewidth=2)
            left.plot([100 * gain.value], [row], "o", color=colour)
        left.axvline(0, color="black", linewidth=0.8)
        left.set_yticks(range(len(compared)), [variant.name for variant in compared])
        left.invert_yaxis()
        left.set(xlabel="gain in mAP, percent, 95 % interval", title="gain over the baseline")
        for name, history in histories.items():
            style = "k--" if name not in {variant.name for variant in compared} else "-"
            right.plot(list(history), [100 * value for value in history.values()], style, linewidth=1.4, label=name)
        right.set(xlabel="epoch", ylabel="mAP on validation, percent", title="while training")
        right.legend(fontsize=8, frameon=False)
        quiet_axes(left)
        quiet_axes(right)
