"""Which loss teaches a linear student? Hundreds of them at once, on stored features of frozen networks.

python -m benchmarks.linear_students --teacher_backbone tf_efficientnet_lite2 --teacher_size 128 \\
    --teacher_weights <tf_efficientnet_lite2.safetensors> --dataset <folder> --feature_folder maps \\
    --pretrained <tf_efficientnet_lite0.safetensors> --config benchmarks/studies/heads_linear_recipe.yaml \\
    --feature_views 8 --output_dir runs/linear_students

The student sees drawn pictures at its own size; the teacher, a linear head on a larger frozen network at a larger
size, was asked about the plain picture. For each loss, that of the labels alone as well, students of two seeds are
trained with every rate and every decay of the weights; what is best on validation is then used with five other seeds.
All students of a loss learn together as one tensor of weights: AdamW, one cycle, the weights of the last step. With
--test the test split is scored, too.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlic_hf import losses
from mlic_hf.cli.parsing import parse
from mlic_hf.data import FeatureMaps, stateless_generator
from mlic_hf.methods.views import PixelSpec
from mlic_hf.metrics import mean_average_precision
from mlic_hf.reports import gains_table, measure_gains
from mlic_hf.runs.data import Data, evaluation_set, load_data, training_set
from mlic_hf.runs.features import kept_features
from mlic_hf.runs.fit import described, feature_place, plain_features
from mlic_hf.runs.models import build_model
from mlic_hf.runs.settings import Settings

SEEDS = (42, 43, 44, 45, 46)
TRIED = (1, 2)  # seeds
SETTINGS = tuple((rate, decay) for rate in (3e-4, 1e-3) for decay in (0.0, 5.0, 20.0))
BATCH = 128
#: (logits, labels, answers), each (images, labels) -> the sum over images
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

bce: Any = partial(losses.binary_cross_entropy, reduction="sum")
asl: Any = partial(losses.asymmetric_loss, gamma_neg=4.0, clip=0.05, reduction="sum")
mld: Any = losses.multi_label_logit_distillation
mse: Any = losses.partition_distillation_mse


def taught_losses(cells: int) -> dict[str, Loss]:
    """Name -> loss; `cells` is the number of labels, by which PSD's mean over cells differs from its sum."""
    found: dict[str, Loss] = {"labels alone (BCE)": lambda z, y, t: bce(z, y)}
    for share in (0.5, 2.0):
        found[f"BCE + {share:g} MLD"] = lambda z, y, t, share=share: bce(z, y) + share * mld(z, t)  # type: ignore[misc]
    found["MLD alone"] = lambda z, y, t: mld(z, t)
    found["labels alone (ASL)"] = lambda z, y, t: asl(z, y)
    found["ASL + 0.5 MLD"] = lambda z, y, t: asl(z, y) + 0.5 * mld(z, t)
    found["PSD, squared error summed"] = lambda z, y, t: 0.5 * asl(z, y) + 0.5 * mse(z, t)
    found["PSD, mean over cells"] = lambda z, y, t: 0.5 * asl(z, y) + 0.5 * mse(z, t) / cells
    found["PSD, binary KL"] = lambda z, y, t: 0.5 * asl(z, y) + 0.5 * mld(z, t)
    return found


@dataclass
class Part:
    """Standardised pooled features (views, images, D) of a split, and its labels (images, C)."""

    features: Tensor
    labels: Tensor


def pooled(maps: FeatureMaps) -> Part:
    """The mean over places of every view."""
    means = [torch.from_numpy(np.asarray(view).astype(np.float32).mean(axis=(2, 3))) for view in maps.maps]
    return Part(torch.stack(means), maps.labels)


def parts_of(settings: Settings, data: Data, splits: list[str], drawn: bool) -> list[Part]:
    """The training images (drawn as the settings say, or plain), and other splits as in use; all standardised."""
    run = settings.run
    model = build_model(run, data.labels.names)
    pixels = PixelSpec.of_model(model)
    if drawn:
        images = training_set(run, data, pixels, 1, settings.training.data_seed)
        source = described(data, run.train_split)
        folder = kept_features(model, images, source, pixels, pixels, run.feature_views, **feature_place(settings))
        found = [pooled(FeatureMaps(images, folder, run.feature_views))]
    else:
        splits, found = [run.train_split, *splits], []
    for split in splits:
        images = evaluation_set(run, data, pixels, split, "split")
        found.append(pooled(plain_features(settings, data, model, images, split)))
    mean, std = found[0].features.mean(dim=(0, 1)), found[0].features.std(dim=(0, 1)).clamp_min(1e-6)
    return [Part((part.features - mean) / std, part.labels) for part in found]


def train(
    part: Part, answers: Tensor, loss: Loss, settings: list[tuple[float, float]], seeds: list[int], epochs: int
) -> Tensor:
    """Weights (students, D + 1, C) of linear students, one for each (rate, decay) and seed, which learn side by side.

    Each has draws of its own of the order and of the views, and starts from 0.
    """
    views, images, width = part.features.shape
    students, labels = len(seeds), part.labels.shape[1]
    weights = torch.zeros(students, width + 1, labels, requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=1.0)
    steps = epochs * (images // BATCH)
    top, decay = torch.tensor(settings).T[:, :, None, None]
    for step in range(steps):
        epoch, place = divmod(step, images // BATCH)
        if place == 0:
            orders = [stateless_generator("order", seed, epoch) for seed in seeds]
            order = np.stack([draws.permutation(images) for draws in orders])
            view = np.stack([draws.integers(0, views, images) for draws in orders])
        rows = order[:, place * BATCH : (place + 1) * BATCH]
        shown = part.features[view[:, place * BATCH : (place + 1) * BATCH], rows]
        logits = torch.baddbmm(weights[:, -1:], shown, weights[:, :-1])
        value = loss(logits.flatten(0, 1), part.labels[rows].flatten(0, 1), answers[rows].flatten(0, 1)) / BATCH
        before = weights.detach().clone()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        done = step / steps  # Adam's steps are scaled by the rate: a rate a student, one cycle
        cycle = done / 0.2 if done < 0.2 else 0.5 * (1 + np.cos(np.pi * (done - 0.2) / 0.8))
        with torch.no_grad():
            rate = top * float(cycle)
            before[:, :-1] *= 1 - rate * decay
            weights.copy_(before + (weights - before) * rate)
    return weights.detach()


def logits_of(weights: Tensor, features: Tensor) -> Tensor:
    """(students, images, C) of features (images, D)."""
    return weights[:, -1:] + features @ weights[:, :-1]


def percent(logits: Tensor, labels: Tensor) -> float:
    return 100 * mean_average_precision(logits.double().sigmoid().numpy(), labels.numpy())[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher_backbone", required=True)
    parser.add_argument("--teacher_weights", required=True)
    parser.add_argument("--teacher_size", type=int, required=True, help="side of the teacher's pictures in pixels")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--folds", type=int, default=1, help="so many teachers, each asked about the images it was not trained on"
    )
    parser.add_argument("--only", nargs="+", help="the losses that are tried, beside those of the labels alone")
    parser.add_argument("--test", action="store_true", help="score the test split too")
    given, flags = parser.parse_known_args()
    settings = parse("", "supervised", flags)
    data = load_data(settings.run)
    splits = [settings.run.eval_split, *(["test"] if given.test else [])]
    larger: dict[str, Any] = {"backbone": given.teacher_backbone, "pretrained": given.teacher_weights}
    own, *measured = parts_of(settings, data, splits, drawn=True)
    seen, known = parts_of(settings.but(**larger, image_size=given.teacher_size), data, splits[:1], drawn=False)

    def search(part: Part, wanted: Loss, answers: Tensor, judged: Part) -> tuple[tuple[float, float], float]:
        """The best of the settings on validation, and its mAP, a mean over the seeds that are tried."""
        each, seeds = list(SETTINGS) * len(TRIED), [seed for seed in TRIED for _ in SETTINGS]
        weights = train(part, answers, wanted, each, seeds, given.epochs)
        scores = np.array([percent(one, judged.labels) for one in logits_of(weights, judged.features[0])])
        means = scores.reshape(len(TRIED), -1).mean(axis=0)
        return SETTINGS[int(np.argmax(means))], float(means.max())

    def alone(logits: Tensor, labels: Tensor, answers: Tensor) -> Tensor:
        return bce(logits, labels)

    setting, score = search(seen, alone, seen.labels, known)
    folds = np.array_split(stateless_generator("folds", 0).permutation(len(seen.labels)), given.folds)
    answers = torch.empty(seen.labels.shape)
    for fold in folds:
        rest = fold if len(folds) == 1 else np.setdiff1d(np.arange(len(answers)), fold)
        learned = Part(seen.features[:, rest], seen.labels[rest])
        teacher = train(learned, learned.labels, alone, [setting], [0], given.epochs)
        answers[fold] = logits_of(teacher, seen.features[0][fold])[0]
    sys.stdout.write(
        f"teacher: {score:.1f} mAP, rate and decay {setting}; {percent(answers, seen.labels):.1f} mAP on what it is "
        f"asked about\n"
    )

    found: dict[str, dict[str, dict[int, Any]]] = {split: {} for split in splits}
    for name, loss in taught_losses(own.labels.shape[1]).items():
        if given.only and not name.startswith(("labels alone", *given.only)):
            continue
        setting, score = search(own, loss, answers, measured[0])
        sys.stdout.write(f"{name}: {score:.1f} mAP, rate and decay {setting}\n")
        sys.stdout.flush()
        weights = train(own, answers, loss, [setting] * len(SEEDS), list(SEEDS), given.epochs)
        for split, part in zip(splits, measured):
            own_logits = logits_of(weights, part.features[0]).double().sigmoid().numpy()
            found[split][name] = dict(zip(SEEDS, own_logits))
    folder = Path(settings.training.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    for split, part in zip(splits, measured):
        for baseline in ("labels alone (BCE)", "labels alone (ASL)"):
            variants = measure_gains(found[split], part.labels.numpy(), baseline)
            sys.stdout.write(f"\n{split}, {len(part.labels)} images, against {baseline}\n\n{gains_table(variants)}\n")
            gains = {v.name: None if v.gain is None else [v.gain.value, v.gain.low, v.gain.high] for v in variants}
            (folder / f"{split}_{baseline[14:17]}.json").write_text(json.dumps(gains, indent=1) + "\n")


if __name__ == "__main__":
    main()
