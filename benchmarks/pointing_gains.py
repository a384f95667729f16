"""What OASS gains over the same network without it, in classifying and in finding: intervals over images and seeds.

python -m benchmarks.pointing_gains --models runs/with_42 runs/with_43 --baselines runs/without_42 runs/without_43 \\
    --dataset coco --data_dir ../shared/realdata/coco_mini --split validation --tolerance 15

Models and baselines stand in the same order of seeds. Each resample draws images, the same for all models, and pairs
of model and baseline, as the bootstrap of mAP does (mlic_hf/metrics/bootstrap.py).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from benchmarks.pointing import Looked, asking, look
from dataset_builders import load_splits
from mlic_hf.methods.saved_model import load_saved
from mlic_hf.metrics import mean_average_precision, paired_bootstrap_gain
from mlic_hf.metrics.bootstrap import resampled_images, resampled_pairs

KINDS = {"key_points": "key points", "boxes": "boxes, IoU 0.5"}


def counts(looked: Looked, kind: str) -> np.ndarray:
    """(images, 2) hits and cases of each image."""
    found = np.zeros((len(looked.scores), 2))
    for image, _, hit in looked.hits[kind]:
        found[image] += (hit, 1)
    return found


def share_gain(
    models: Sequence[np.ndarray], baselines: Sequence[np.ndarray], resamples: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """The mean gain in the share of hits, and its 95 % percentile interval over images and pairs together.

    Args:
        models, baselines: (images, 2) hits and cases, in the same order of seeds.
        resamples: of the bootstrap.
        seed: of its draws.
    """
    pairs = np.stack([np.stack(models), np.stack(baselines)])  # (2, runs, images, 2)
    images, runs = pairs.shape[2], pairs.shape[1]
    drawn = resampled_pairs(runs, resamples, seed)
    samples = []
    for resample in range(resamples):
        total = pairs[:, :, resampled_images(images, seed, resample)].sum(axis=2)
        share = total[..., 0] / total[..., 1]
        samples.append((share[0] - share[1])[drawn[resample]].mean())
    total = pairs.sum(axis=2)
    share = total[..., 0] / total[..., 1]
    low, high = np.percentile(samples, [2.5, 97.5])
    return float((share[0] - share[1]).mean()), float(low), float(high)


def table(models: Sequence[Looked], baselines: Sequence[Looked], resamples: int) -> str:
    """Markdown in percent: a row a measure; without, with, the gain and its interval."""
    lines = ["| | without | with | gain | 95 % interval |", "|---|---|---|---|---|"]

    def line(title: str, without: float, own: float, gain: Sequence[float]) -> None:
        value, low, high = (100 * number for number in gain)
        lines.append(f"| {title} | {100 * without:.1f} | {100 * own:.1f} | {value:+.1f} | {low:+.1f} to {high:+.1f} |")

    targets = models[0].targets
    of_map = paired_bootstrap_gain([m.scores for m in models], [b.scores for b in baselines], targets, resamples)
    means = [np.mean([mean_average_precision(one.scores, targets)[0] for one in each]) for each in (baselines, models)]
    line("mAP", float(means[0]), float(means[1]), (of_map.value, of_map.low, of_map.high))
    for kind, title in KINDS.items():
        own, without = ([counts(one, kind) for one in each] for each in (models, baselines))
        shares = [float(np.mean([c[:, 0].sum() / c[:, 1].sum() for c in each])) for each in (without, own)]
        line(title, shares[0], shares[1], share_gain(own, without, resamples))
    centre = counts(models[0], "centre").sum(axis=0)
    return "\n".join([*lines, f"| key points, the image's centre | {100 * centre[0] / centre[1]:.1f} | | | |"]) + "\n"


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument("--baselines", nargs="+", required=True, help="those without OASS, in the models' order")
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap (default: 1000)")
    options = parser.parse_args()
    rows = load_splits(options.dataset, data_dir=options.data_dir, with_boxes=True)[options.split]
    models, baselines = (
        [look(load_saved(folder, "model").eval(), rows, options.tolerance, options.rule) for folder in folders]
        for folders in (options.models, options.baselines)
    )
    sys.stdout.write(f"{options.split}, {len(rows)} images, percent.\n\n")
    sys.stdout.write(table(models, baselines, options.resamples))


if __name__ == "__main__":
    main()
