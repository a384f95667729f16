"""Labels made wrong on purpose, and how many of them `mlic audit` finds first: the table of docs/imperfect_labels.md.

    python -m benchmarks.label_audit --data_dir mirflickr --weights tf_efficientnet_lite2.safetensors \\
        --output_dir runs/imperfect/mirflickr

Of all cells of the images that are not the test part, 5 % are turned round, with three seeds. Linear heads on frozen
features, fitted without the image's fold, score every cell; the suspicious ones are ranked. Beside it stand two
rankings that look at no picture: listed cells in any order, and cells by how rare what they say is.
"""

from __future__ import annotations

import json

import numpy as np
import torch

from benchmarks.imperfect_labels import load
from benchmarks.imperfect_tables import write
from benchmarks.photographs import asking
from mlic_hf.metrics import suspicion
from mlic_hf.reports.figure import figure, quiet_axes
from mlic_hf.runs.frozen_heads import STRENGTHS, out_of_fold_scores

SEEDS = (0, 1, 2)
SHARE = 0.05


def turn(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The labels with 5 % of the cells turned round, and which."""
    rng = np.random.default_rng(seed)
    wrong = np.zeros(labels.size, bool)
    wrong[rng.permutation(labels.size)[: round(SHARE * labels.size)]] = True
    wrong = wrong.reshape(labels.shape)
    return np.where(wrong, 1 - labels, labels), wrong


def curve(doubt: np.ndarray, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall after every cell of a ranking, the most doubted first."""
    hits = wrong.reshape(-1)[np.argsort(-doubt, axis=None, kind="stable")].cumsum()
    return hits / np.arange(1, hits.size + 1), hits / wrong.sum()


def rankings(scores: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Name -> how much each cell is doubted."""
    share = labels.mean(axis=0)
    return {
        "audit": suspicion(scores, labels),
        "rarest statement first": np.where(labels == 1, 1 - share, share),
        "listed cells in any order": labels + np.random.default_rng(seed).random(labels.shape) / 2,
    }


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument("--strengths", type=float, nargs="+", default=STRENGTHS, help="of the heads' penalty")
    told = parser.parse_args()
    cache = told.output_dir / f"{told.backbone}_{told.image_size}"
    parts, names = load(told.data_dir, told.weights, told.backbone, told.image_size, cache)
    used = [parts["train"], parts["validation"]]
    features = torch.cat([part.features for part in used])[:, :, 0, 0]
    labels = torch.cat([part.labels for part in used]).numpy()
    out = told.output_dir / "audit"
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[float]] = {}
    last = round(SHARE * labels.size) - 1
    with figure(out / "flipped.png", 5.2, 4) as drawing:
        axes = drawing.add_subplot()
        for seed in SEEDS:
            noisy, wrong = turn(labels, seed)
            scores = out_of_fold_scores(features, torch.from_numpy(noisy), strengths=told.strengths)
            for place, (name, doubt) in enumerate(rankings(scores, noisy, seed).items()):
                precision, recall = curve(doubt, wrong)
                found.setdefault(f"{name}: found in the first 5 %", []).append(recall[last])
                found.setdefault(f"{name}: average precision", []).append(
                    float((precision * np.diff(recall, prepend=0)).sum())
                )
                step = max(1, labels.size // 2000)
                axes.plot(recall[::step], precision[::step], color=f"C{place}", lw=1, label=name if not seed else None)
            for kind, name in ((1, "listed"), (0, "not listed")):
                of_kind = noisy == kind
                precision, recall = curve(suspicion(scores, noisy)[of_kind], wrong[of_kind])
                found.setdefault(f"audit, {name} cells: average precision", []).append(
                    float((precision * np.diff(recall, prepend=0)).sum())
                )
                found.setdefault(f"share of turned among {name} cells", []).append(float(wrong[of_kind].mean()))
            print(seed, {name: round(values[-1], 4) for name, values in found.items()}, flush=True)
        quiet_axes(axes)
        axes.set(xlabel="recall of the turned cells", ylabel="precision", xlim=(0, 1), ylim=(0, 1.01))
        axes.legend(frameon=False, fontsize=8)
    (out / "flipped.json").write_text(json.dumps(found, indent=1) + "\n")
    lines = ["| | mean | of each seed |", "|---|---|---|"]
    for name, values in found.items():
        each = ", ".join(f"{100 * value:.1f}" for value in values)
        lines.append(f"| {name} | {100 * np.mean(values):.1f} | {each} |")
    about = f"{told.data_dir.name}: {len(labels)} images, {len(names)} labels, {labels.size} cells, {last + 1} turned."
    write(out / "table.md", about, "", "\n".join(lines))


if __name__ == "__main__":
    main()
