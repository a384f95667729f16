"""How much of what one positive an image costs can be won back at all: the table of docs/imperfect_labels.md.

    python -m benchmarks.lost_labels --data_dir corel5k --weights tf_efficientnet_lite2.safetensors \\
        --output_dir runs/imperfect/corel5k

Parts and features are those of benchmarks.imperfect_labels. The heads are ridge regressions on standardised features:
exact, so that nothing but the labels differs, and with a penalty that is chosen on validation for every row alike, out
of the same values. Some rows know what nobody knows, which positives are hidden: they leave exactly these out, or are
given a share of them. Others guess them. Three draws of the positive that is kept; tested once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.imperfect_labels import Part, load
from benchmarks.imperfect_tables import mean_score, write
from benchmarks.photographs import asking
from mlic_hf.data import drop_positives, keep_one_positive, stateless_generator
from mlic_hf.metrics import average_precision, mean_average_precision

DRAWS = (0, 1, 2)
PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0)
LEFT = {
    "none": (0, 1),
    "1 to 4": (1, 5),
    "5 to 19": (5, 20),
    "20 or more": (20, 10**9),
}  # training positives of a label

Task = tuple[Tensor, ...]  # inputs (n, D), targets (n, C) and, if any are, the cells (n, C) that are left out


@lru_cache(maxsize=16)
def inverse_of(inputs: Tensor, penalty: float) -> Tensor:
    """(D, D) inverse of the inputs' squares, with n times the penalty on its diagonal."""
    gram = inputs.T @ inputs
    gram.diagonal().add_(penalty * len(inputs))
    return torch.cholesky_inverse(torch.linalg.cholesky(gram))


def fit_ridge(task: Task, penalties: Sequence[float]) -> Iterator[tuple[Tensor, Tensor]]:
    """Least squares around the labels' means, with each penalty on the squared weights in turn.

    A label whose images are not all in it has its own solution, from the common one by Woodbury's identity.

    Yields:
        Weights (D, C) and means (C,).
    """
    inputs, targets = task[:2]
    kept = ~task[2] if len(task) > 2 else torch.ones_like(targets, dtype=torch.bool)
    mean = (targets * kept).sum(dim=0) / kept.sum(dim=0)
    across = inputs.T @ ((targets - mean) * kept)
    for penalty in penalties:
        inverse = inverse_of(inputs, penalty)
        weights = inverse @ across
        for label in (~kept).any(dim=0).nonzero()[:, 0].tolist():
            rows = inputs[~kept[:, label]]
            through = rows @ inverse
            inner = torch.eye(len(rows)) - through @ rows.T
            weights[:, label] += through.T @ torch.linalg.solve(inner, rows @ weights[:, label])
        yield weights, mean


def without_itself(inputs: Tensor, targets: Tensor, penalty: float) -> Tensor:
    """(n, C) scores of each image by the heads that all others fit: those of all, less what an image adds itself."""
    ((weights, mean),) = fit_ridge((inputs, targets), [penalty])
    own = ((inputs @ inverse_of(inputs, penalty)) * inputs).sum(dim=1, keepdim=True)
    return targets - (targets - mean - inputs @ weights) / (1 - own)


def guesses(inputs: Tensor, labels: Tensor, penalty: float, counts: Sequence[int]) -> list[Tensor]:
    """(n, C) bool for each count: so many unlisted cells of the highest scores that do not know their image."""
    scores = without_itself(inputs, labels, penalty).masked_fill(labels > 0, -torch.inf)
    highest = scores.reshape(-1).topk(max(counts)).values
    return [scores >= highest[count - 1] for count in counts]


def neighbours(inputs: Tensor, labels: Tensor, sharpness: float, share: float) -> Tensor:
    """(n, C) soft labels: a share of each image's is the mean of the others', by the likeness of their features."""
    directions = F.normalize(inputs)
    weights = (sharpness * (directions @ directions.T - 1)).exp().fill_diagonal_(0)
    return (1 - share) * labels + share * (weights @ labels) / weights.sum(dim=1, keepdim=True)


def rows_of(inputs: Tensor, part: Part, draw: int, penalty: float) -> dict[str, list[Task]]:
    """Row -> what is tried.

    Args:
        penalty: of the heads that guess.
    """
    whole = part.labels.clamp_min(0).float()
    pairs = list(zip(whole, part.ids))
    one = torch.stack([keep_one_positive(row, image, draw) for row, image in pairs])
    hidden = whole > one
    images = stateless_generator("images", draw).permutation(len(whole))
    some = images[: round(len(whole) * float(one.sum() / whole.sum()))]
    found: dict[str, list[Task]] = {
        "full labels": [(inputs, whole)],
        "assume negative": [(inputs, one)],
        "hidden cells left out": [(inputs, one, hidden)],
        "as many positives, in whole lists": [(inputs[some], whole[some])],
    }
    for share in (0.25, 0.5, 0.75):
        back = torch.stack([drop_positives(row, 1 - share, image, draw) for row, image in pairs])
        found[f"{share:.0%} of the hidden given back"] = [(inputs, torch.maximum(one, back))]
    surest = guesses(inputs, one, penalty, [round(float(hidden.sum()) * share) for share in (0.1, 0.5)])
    right = ", ".join(f"{100 * float(hidden[guessed].float().mean()):.0f} %" for guessed in surest)
    print(f"draw {draw}: of the surest guesses, 10 % and 50 % as many as are hidden, are right: {right}", flush=True)
    found["surest guesses taken for positive"] = [(inputs, torch.maximum(one, guessed.float())) for guessed in surest]
    found["neighbours' labels mixed in"] = [
        (inputs, neighbours(inputs, one, sharpness, share)) for sharpness in (10.0, 20.0) for share in (0.3, 0.6)
    ]
    return found


def by_what_is_left(
    scores: dict[str, list[np.ndarray]], targets: np.ndarray, left: Sequence[np.ndarray], names: Sequence[str]
) -> str:
    """mAP of some rows over the labels by the positives that are left of them, the mean over draws."""
    lines = [f"| positives left | labels | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    precisions = {name: [average_precision(run, targets) for run in scores[name]] for name in names}
    for title, (low, high) in LEFT.items():
        of = [(counts >= low) & (counts < high) & (targets > 0).any(axis=0) for counts in left]
        if all(one.any() for one in of):
            means = [100 * np.mean([np.mean(p[one]) for p, one in zip(precisions[name], of)]) for name in names]
            size = np.mean([one.sum() for one in of])
            lines.append(f"| {title} | {size:.0f} | {' | '.join(f'{value:.1f}' for value in means)} |")
    return "\n".join(lines)


def main() -> None:
    parser = asking(__doc__)
    told = parser.parse_args()
    cache = told.output_dir / f"{told.backbone}_{told.image_size}"
    parts, _ = load(told.data_dir, told.weights, told.backbone, told.image_size, cache)
    out = told.output_dir / "lost_labels"
    out.mkdir(parents=True, exist_ok=True)
    features = {name: part.features[:, :, 0, 0] for name, part in parts.items()}
    mean, std = features["train"].mean(dim=0), features["train"].std(dim=0).clamp_min(1e-6)
    inputs = {name: (one - mean) / std for name, one in features.items()}
    train, validation, test = (parts[name].labels for name in ("train", "validation", "test"))

    def choose(tried: Sequence[Task]) -> tuple[float, int, float]:
        """The best mAP on validation, which of those tried has it, and with which penalty."""
        found = []
        for which, task in enumerate(tried):
            for penalty, (weights, mean) in zip(PENALTIES, fit_ridge(task, PENALTIES)):
                scores = (inputs["validation"] @ weights + mean).numpy()
                found.append((100 * mean_average_precision(scores, validation.numpy())[0], which, penalty))
        return max(found)

    one = torch.stack([keep_one_positive(row, image) for row, image in zip(train, parts["train"].ids)])
    guessing = choose([(inputs["train"], one.clamp_min(0).float())])[2]
    chosen: dict[str, tuple[float, int, float]] = {}
    scores: dict[str, list[np.ndarray]] = {}
    left = []
    for draw in DRAWS:
        rows = rows_of(inputs["train"], parts["train"], draw, guessing)
        left.append(rows["assume negative"][0][1].sum(dim=0).numpy())
        for name, tried in rows.items():
            if name not in chosen:
                chosen[name] = choose(tried)
                print(name, chosen[name], flush=True)
            _, which, penalty = chosen[name]
            ((weights, means),) = fit_ridge(tried[which], [penalty])
            scores.setdefault(name, []).append((inputs["test"] @ weights + means).numpy())
    (out / "chosen.json").write_text(json.dumps(chosen, indent=1) + "\n")
    targets = test.numpy()
    low, high = (mean_score(scores[name], targets) for name in ("assume negative", "full labels"))
    lines = ["| | validation mAP, draw 0 | test mAP | s.d. of the draws | of the gap |", "|---|---|---|---|---|"]
    for name, runs in scores.items():
        score = mean_score(runs, targets)
        spread = np.std([mean_score([run], targets) for run in runs], ddof=1)
        closed = "" if name in ("assume negative", "full labels") else f"{100 * (score - low) / (high - low):.0f} %"
        lines.append(f"| {name} | {chosen[name][0]:.1f} | {score:.1f} | {spread:.2f} | {closed} |")
    names = ("full labels", "assume negative", "hidden cells left out")
    write(out / "table.md", "\n".join(lines), "", by_what_is_left(scores, targets, left, names))


if __name__ == "__main__":
    main()
