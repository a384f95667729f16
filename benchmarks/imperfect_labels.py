"""Missing and rare labels on photographs: heads on frozen features, the tables of docs/imperfect_labels.md.

    python -m benchmarks.imperfect_labels --data_dir mirflickr --weights tf_efficientnet_lite2.safetensors \\
        --study one_positive --output_dir runs/imperfect/mirflickr

A data folder holds train/ and, if there is one, test/, each with metadata.jsonl (file_name, labels). A fifth of train
is cut off for validation; without a test folder 15 % more for testing. The settings of each loss and its learning rate
are chosen with seed 0 by the best mAP on validation, whose labels are whole; then three seeds are trained, the epoch
of each taken by validation, and tested once. Runs that are done are read.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.imperfect_tables import calibration_table, missing_table, rare_table, write
from benchmarks.photographs import asking
from mlic_hf.data import (
    FeatureMaps,
    LabelSpace,
    MultiLabelDataset,
    build_transform,
    compute_feature_maps,
    drop_positives,
    keep_one_positive,
    repeat_factors,
    repeated_order,
    stateless_generator,
    stratified_split,
    transform_preset,
)
from mlic_hf.methods.base import MethodBatch, known_images
from mlic_hf.methods.supervised import SupervisedConfig, supervised_objectives
from mlic_hf.metrics import mean_average_precision
from mlic_hf.modeling import LinearForImageClassification

SEEDS = (0, 1, 2)
EPOCHS, BATCH = 20, 64
RATES = (1e-3, 3e-3)


@dataclass
class Part:
    """Pooled features (n, D, 1, 1) and labels (n, C) of one part, with the images' ids."""

    features: Tensor
    labels: Tensor
    ids: list[str]

    def rows(self, rows: np.ndarray) -> Part:
        return Part(self.features[rows], self.labels[rows], [self.ids[row] for row in rows])


def load(data_dir: Path, weights: Path, backbone: str, size: int, cache: Path) -> tuple[dict[str, Part], list[str]]:
    """The parts train, validation and test, and the label names."""
    folders = [name for name in ("train", "test") if (data_dir / name).is_dir()]
    rows = {
        name: [json.loads(line) for line in (data_dir / name / "metadata.jsonl").read_text("utf-8").splitlines()]
        for name in folders
    }
    names = sorted({label for row in rows["train"] for label in row["labels"]})
    model = LinearForImageClassification.from_timm(backbone, names, pretrained=str(weights), image_size=size).eval()
    preset = transform_preset("eval", size, model.config.image_mean, model.config.image_std)
    preset = replace(preset, interpolation=model.config.interpolation)
    found = {}
    for name, listed in rows.items():
        images = MultiLabelDataset(
            [{"image": str(data_dir / name / r["file_name"]), "image_id": r["file_name"], **r} for r in listed],
            LabelSpace(names),
            build_transform(preset),
        )
        with torch.no_grad():
            maps = compute_feature_maps(images, model.backbone.feature_map, cache / name, batch_size=64)
        found[name] = as_part(maps)
    if "test" in found:
        kept, validation = stratified_split(found["train"].labels, len(names), [0.8, 0.2])
        return {
            "train": found["train"].rows(kept),
            "validation": found["train"].rows(validation),
            "test": found["test"],
        }, names
    cuts = stratified_split(found["train"].labels, len(names), [0.65, 0.2, 0.15])
    return {name: found["train"].rows(cut) for name, cut in zip(("train", "validation", "test"), cuts)}, names


def as_part(maps: FeatureMaps) -> Part:
    pooled = torch.stack([torch.from_numpy(one.astype(np.float32)).mean(dim=(1, 2)) for one in maps.maps[0]])
    return Part(pooled[:, :, None, None], maps.labels, maps.image_ids)


def spoil(part: Part, study: str) -> Part:
    """The training part with one positive an image, or without 30 % of its positives."""
    if study == "one_positive":
        labels = [keep_one_positive(row, image) for row, image in zip(part.labels, part.ids)]
    elif study == "dropped":
        labels = [drop_positives(row, 0.3, image) for row, image in zip(part.labels, part.ids)]
    else:
        return part
    return Part(part.features, torch.stack(labels), part.ids)


def grid(study: str, parts: dict[str, Part]) -> dict[str, list[dict[str, Any]]]:
    """variant -> the settings that are tried; the keys beginning with "_" are not the loss's."""
    whole = parts["validation"].labels
    expected = float((whole > 0).sum(dim=1).float().mean())

    def settings(loss: str, **values: list[Any]) -> list[dict[str, Any]]:
        turns = [dict(zip(values, turn)) for turn in itertools.product(*values.values())]
        return [{"loss": loss, "settings": turn} for turn in turns]

    asl = [{"loss": "asl", "gamma_neg": g, "clip": c} for g in (1.0, 2.0, 4.0) for c in (0.0, 0.05)]
    if study == "calibration":
        return {"bce": [{"loss": "bce"}], "asl": [{"loss": "asl"}]}
    if study == "gammas":
        return {"bce": [{"loss": "bce"}], **{f"gamma_neg {a['gamma_neg']:g}, clip {a['clip']:g}": [a] for a in asl}}
    if study == "db_parts":  # one change at a time; beta 0 makes every weight the same
        plain = {"beta": [0.0], "kappa": [0.0], "neg_scale": [1.0], "gamma": [0.0]}
        return {
            "bce": [{"loss": "bce"}],
            "weights": settings("db", **plain | {"beta": [10.0]}),
            "shift": settings("db", **plain | {"kappa": [0.05]}),
            "steeper negatives": settings("db", **plain | {"neg_scale": [2.0]}),
            "focus": settings("db", **plain | {"gamma": [2.0]}),
            "all but focus": settings("db", gamma=[0.0]),
            "all": settings("db"),
            "all, repeat factors": [{"loss": "db", "_repeat": 0.01}],
        }
    if study == "rare":
        return {
            "bce": [{"loss": "bce"}],
            "focal": settings("focal", gamma=[1.0, 2.0], alpha=[0.25, None]),
            "asl": asl,
            **{
                f"bce, {rule}": [{"loss": "bce", "class_weights": rule}]
                for rule in ("balanced", "inverse_frequency", "effective_number")
            },
            "bce, repeat factors": [{"loss": "bce", "_repeat": t} for t in (0.003, 0.01, 0.03)],
            "db": settings("db", mu=[0.2, 0.3], gamma=[0.0, 2.0]),
            "two_way": settings("two_way", temperature=[1.0, 4.0]),
            "zlpr": settings("zlpr"),
        }
    return {
        "full labels": [{"loss": "bce", "_full": True}],
        "assume negative": [{"loss": "bce"}],
        "asl": asl,
        "wan": settings("wan", weight=[None, 0.1, 0.3]),
        "em": settings("em", alpha=[0.001, 0.003, 0.01, 0.05, 0.1, 0.2]),
        "epr": settings("epr", expected=[expected], weight=[1.0, 10.0]),
        "hill": settings("hill", margin=[0.0, 1.0]),
        "splc": settings("splc", threshold=[0.5, 0.6, 0.8]),
        "ll_r": settings("ll_r", largest_share=[0.01, 0.03, 0.1]),
        "ll_ct": settings("ll_ct", largest_share=[0.01, 0.03, 0.1]),
        "ll_cp": settings("ll_cp", largest_share=[0.0003, 0.001, 0.003]),
        "zlpr": settings("zlpr"),
        "two_way": settings("two_way", temperature=[1.0, 4.0]),
    }


def orders(part: Part, seed: int, repeat: float | None) -> Iterator[tuple[int, np.ndarray]]:
    factors = None if repeat is None else repeat_factors(part.labels, part.labels.shape[1], repeat)
    for epoch in range(EPOCHS):
        if factors is None:
            yield epoch, stateless_generator("order", seed, epoch).permutation(len(part.labels))
        else:
            yield epoch, repeated_order(factors, seed, epoch)


def train(model: Any, parts: dict[str, Part], chosen: dict[str, Any], rate: float, seed: int) -> tuple[float, Any]:
    """The best mAP on validation over the epochs, and the head that had it."""
    part = parts["whole" if chosen.get("_full") else "train"]
    config = SupervisedConfig(**{key: value for key, value in chosen.items() if not key.startswith("_")})
    (weighted,) = supervised_objectives(config, model)
    objective = weighted.objective
    objective.count_labels((part.labels > 0).sum(dim=0), len(part.labels))
    torch.manual_seed(seed)
    head = model.head
    head.classifier.reset_parameters()
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=1e-2)
    steps = EPOCHS * -(-len(next(orders(part, seed, chosen.get("_repeat")))[1]) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1)
    best, kept, done = -1.0, None, 0
    for _, order in orders(part, seed, chosen.get("_repeat")):
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            features, labels = part.features[rows], part.labels[rows]
            outputs = model(feature_map=features)
            seen = {"progress": done / steps, "image_id": [part.ids[row] for row in rows]}
            loss = objective(MethodBatch(features, labels, outputs, model, **seen))
            count = objective.count(labels)
            loss = loss / (1 if count is None else count.clamp(min=1))
            loss = loss / known_images(labels) if weighted.per_image else loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1
        score = 100 * mean_average_precision(predict(model, parts["validation"]), parts["validation"].labels)[0]
        if score > best:
            best, kept = score, copy.deepcopy(head.state_dict())
    head.load_state_dict(kept)
    return best, head


@torch.no_grad()
def predict(model: Any, part: Part) -> np.ndarray:
    return model(feature_map=part.features).logits.numpy()


def run(study: str, parts: dict[str, Part], names: list[str], backbone: str, out: Path) -> list[dict[str, Any]]:
    """[of test, of validation]: variant -> the logits of each seed; what was chosen is written to chosen.json."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = LinearForImageClassification.from_timm(backbone, names, pretrained=False)
    parts = {**parts, "whole": parts["train"], "train": spoil(parts["train"], study)}
    file = out / "chosen.json"
    told = json.loads(file.read_text()) if file.exists() else {}
    logits: list[dict[str, Any]] = [{}, {}]
    for variant, tried in grid(study, parts).items():
        saved = out / f"{variant.replace(', ', '_').replace(' ', '_')}.npz"
        if not saved.exists():
            turns = [
                (train(model, parts, chosen, rate, 0)[0], index, rate)
                for index, chosen in enumerate(tried)
                for rate in RATES
            ]
            score, index, rate = max(turns)
            found: dict[str, np.ndarray] = {}
            for seed in SEEDS:
                train(model, parts, tried[index], rate, seed)
                found |= {f"{name}_{seed}": predict(model, parts[name]) for name in ("validation", "test")}
            np.savez(saved, **found)
            told[variant] = {
                "validation": score,
                "rate": rate,
                "tried": len(turns),
                **tried[index],
            }
            file.write_text(json.dumps(told, indent=1))
            print(variant, told[variant], flush=True)
        kept = np.load(saved)
        for found_of, name in zip(logits, ("test", "validation")):
            found_of[variant] = [kept[f"{name}_{seed}"] for seed in SEEDS]
    return logits


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument(
        "--study", choices=("one_positive", "dropped", "rare", "gammas", "db_parts", "calibration"), required=True
    )
    told = parser.parse_args()
    cache = told.output_dir / f"{told.backbone}_{told.image_size}"
    parts, names = load(told.data_dir, told.weights, told.backbone, told.image_size, cache)
    out = told.output_dir / told.study
    logits, of_validation = run(told.study, parts, names, told.backbone, out)
    targets, validation = parts["test"].labels.numpy(), parts["validation"].labels.numpy()
    sizes = ", ".join(f"{len(part.labels)} {name}" for name, part in parts.items())
    kept = spoil(parts["train"], told.study).labels
    share = (kept > 0).sum() / (parts["train"].labels > 0).sum()
    about = f"{told.data_dir.name}, {told.study}: {sizes} images, {len(names)} labels"
    about += f", {100 * share:.1f} % of the training positives."
    if told.study in ("rare", "gammas", "db_parts"):
        table = rare_table(logits, targets, (parts["train"].labels > 0).sum(dim=0).numpy())
    elif told.study == "calibration":
        table = calibration_table(logits, of_validation, targets, validation, out / "reliability.png")
    else:
        table = missing_table(logits, targets)
    write(out / "table.md", about, "", table)


if __name__ == "__main__":
    main()
