"""What a model card says, gathered from the files of a checkpoint folder."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from mlic_hf.hub.privacy import command_line, publishable

# how a trainer puts the split in front of a metric's name, and what it counts beside quality
SPLITS = {"eval": "validation", "test": "test"}
NOT_QUALITY = (
    "loss",
    "epoch",
    "images",
    "labels_without_positives",
    "labels_without_negatives",
    "plain_mAP",
    "ema_mAP",
)
# settings of a run that a reader wants to know, by the words of a card
HYPERPARAMETERS = {
    "num_train_epochs": "Epochs",
    "learning_rate": "Learning rate",
    "lr_scheduler_type": "Schedule",
    "optim": "Optimizer",
    "weight_decay": "Weight decay",
    "ema_decay": "Decay of the averaged weights",
    "transform": "Augmentation",
}
# pictures that a card shows where they lie beside the model, and what they show
CARD_PICTURES = {"curves.png": "Loss and mAP in training", "precision_recall.png": "Precision against recall"}
# what a published model needs; its code travels with it
REQUIRED = ("transformers", "timm", "torch", "torchvision")


@dataclass(frozen=True)
class Score:
    """One metric: its value and, where it was bootstrapped, the ends of its interval."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    split: str | None = None


@dataclass(frozen=True)
class CardFacts:
    """Everything a card can say; what is not known stays None or empty and is left out.

    Args:
        repo_id: where it will lie on the Hub ("user/name"), for the lines that load it.
        model_type, backbone, image_size, labels, thresholds: as in `config.json`.
        library: which one the backbone comes from.
        parameters: the number of trained values in `model.safetensors`.
        method: a method key.
        origin: for a converted checkpoint, a sentence on where its weights come from.
        data: `name`, `splits` of the data set, which of them are `train`, `eval` and `test`.
        metrics: name -> number, name -> {value, low, high}, or split -> either.
        settings: all settings of the run.
        command, versions, seed, processes, weights, license: of the run and of what the root's weights are.
        base_model: the repository of the weights that training started from.
        requirements: what must be installed, as for pip.
        pictures: files of the folder that a card shows.
        space: the Space to try it in ("user/name").
        hardware, hours: what it was trained on, and how long.
        emissions: of its training, in grams of CO2 equivalent, as codecarbon measured them.
        pipeline: the task of the pipeline that travels with the model.
        quantized_with: the library that converted the weights ("torchao", "bitsandbytes"), by its name for pip.
    """

    repo_id: str | None = None
    model_type: str | None = None
    architecture: str | None = None
    backbone: str | None = None
    library: str | None = None
    image_size: int | None = None
    labels: tuple[str, ...] = ()
    thresholds: tuple[float, ...] | None = None
    parameters: int | None = None
    method: str | None = None
    origin: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    processes: int | None = None
    weights: Mapping[str, Any] = field(default_factory=dict)
    license: str | None = None
    base_model: str | None = None
    requirements: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    pipeline: str | None = None
    quantized_with: str | None = None
    space: str | None = None
    hardware: str | None = None
    hours: float | None = None
    emissions: float | None = None

    @property
    def name(self) -> str:
        if self.repo_id:
            return self.repo_id.split("/")[-1]
        return "-".join(part for part in (self.backbone, self.model_type) if part) or "model"

    @property
    def data_name(self) -> str | None:
        """The name of the data set; of a folder, its last part."""
        name = self.data.get("name")
        return None if not name else str(name) if str(name).count("/") == 1 else Path(str(name)).name

    @property
    def scores(self) -> list[Score]:
        return scores_of(self.metrics)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The settings that a card tells, in its words."""
        told = {words: self.settings.get(name) for name, words in HYPERPARAMETERS.items()}
        images = self.settings.get("per_device_train_batch_size")
        if isinstance(images, int):
            images *= (self.processes or 1) * int(self.settings.get("gradient_accumulation_steps") or 1)
        precision = next((name for name in ("bf16", "fp16") if self.settings.get(name)), None)
        told |= {"Images a step": images, "Precision": precision, "Seed": self.seed}
        return {words: f"{value:g}" if isinstance(value, float) else value for words, value in told.items()}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; an empty one where there is no file.

    Raises:
        ValueError: when the file holds something else.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON (line {error.lineno}: {error.msg}); write it anew.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, expected an object with named fields.")
    return content


def read_emissions(path: Path) -> float | None:
    """Grams of CO2 equivalent in the file that codecarbon writes, of all its runs; None where there is no file.

    Raises:
        ValueError: when the file has no such numbers.
    """
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        try:
            return round(1000 * sum(float(row["emissions"]) for row in csv.DictReader(file)), 6)
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"{path} has no column of numbers named emissions; let codecarbon write it, or remove it."
            ) from None


def names_of_labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The label names of a config, in the order of their ids."""
    names = config.get("id2label") or {}
    return tuple(str(names[key]) for key in sorted(names, key=int))


def count_parameters(folder: Path) -> int | None:
    """How many numbers the folder's safetensors files hold, read from their headers alone."""
    from safetensors import safe_open

    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        return None
    total = 0
    for file in files:
        with safe_open(file, framework="pt") as tensors:
            total += sum(math.prod(tensors.get_slice(key).get_shape()) for key in tensors.keys())  # noqa: SIM118
    return total


def read_facts(folder: str | Path, facts: CardFacts | Mapping[str, Any] | None = None) -> CardFacts:
    """What a checkpoint folder says about itself, with what the caller adds on top.

    Args:
        folder: holds `config.json` and, where a trainer wrote them, `run.json` and `weights.json`.
        facts: fields of `CardFacts` that win over the folder's.

    Returns:
        the joined facts.

    Raises:
        FileNotFoundError: when the folder has no config.json.
        ValueError: when a file is not JSON or `facts` names a field that a card does not have.
    """
    folder = Path(folder)
    config = read_json(folder / "config.json")
    if not config:
        raise FileNotFoundError(f"{folder} has no config.json, so it is no checkpoint folder; save a model there.")
    run = publishable(read_json(folder / "run.json"), folder)  # an older one may hold anything
    settings = run.get("resolved") or {}
    thresholds = config.get("thresholds")
    quantized_with = (config.get("quantization_config") or {}).get("quant_method")
    found = CardFacts(
        model_type=config.get("model_type"),
        architecture=(config.get("architectures") or [None])[0],
        backbone=config.get("backbone"),
        library="transformers" if config.get("backbone_config") else "timm",
        image_size=config.get("image_size"),
        labels=names_of_labels(config),
        thresholds=None if thresholds is None else tuple(float(t) for t in thresholds),
        parameters=run.get("parameters") or count_parameters(folder),
        method=run.get("method"),
        origin=run.get("origin"),
        data=run.get("data") or {},
        metrics=run.get("metrics") or {},
        command=None if run.get("command") is None else command_line(run["command"]),
        settings=settings,
        versions=run.get("versions") or {},
        seed=run.get("seed"),
        processes=run.get("processes"),
        weights=read_json(folder / "weights.json"),
        license=run.get("license"),
        base_model=base_model(config.get("backbone"), settings),
        requirements=requirements(quantized_with),
        pictures=tuple(name for name in CARD_PICTURES if (folder / name).is_file()),
        quantized_with=quantized_with,
        hardware=run.get("hardware"),
        hours=run.get("hours"),
        emissions=read_emissions(folder / "emissions.csv"),
        pipeline=next(iter(config.get("custom_pipelines") or {}), None),
    )
    return merge_facts(found, facts)


def base_model(backbone: str | None, settings: Mapping[str, Any]) -> str | None:
    """The repository of the weights that a run started from; None where it started from others, or unknown."""
    if backbone is None or settings.get("pretrained") not in (True, "true") or settings.get("init_from"):
        return None
    if "/" in backbone:
        return backbone  # an encoder of transformers, called by its repository
    from timm.models import get_pretrained_cfg

    found = get_pretrained_cfg(backbone)
    name = getattr(found, "hf_hub_id", None)
    return str(name) if name else None


def requirements(quantized_with: str | None = None) -> tuple[str, ...]:
    """What a published model needs, with the oldest versions that this library supports, as pip takes them."""
    wanted = REQUIRED if quantized_with is None else (*REQUIRED, quantized_with)
    try:
        told = metadata.requires("mlic_hf") or []
    except metadata.PackageNotFoundError:
        return wanted
    plain = [re.split(";", line)[0].replace(" ", "") for line in told]
    found = {re.split(r"[<>=!~]", line)[0]: line for line in plain}
    return tuple(lowest_first(found.get(name, name)) for name in wanted)


def lowest_first(requirement: str) -> str:
    """ "timm<6,>=5" as people write it: "timm>=5,<6"."""
    name = re.split(r"[<>=!~]", requirement)[0]
    return name + ",".join(sorted(requirement[len(name) :].split(","), reverse=True))


def merge_facts(found: CardFacts, facts: CardFacts | Mapping[str, Any] | None) -> CardFacts:
    """`found` with every field that `facts` sets; an unknown field name is a ValueError."""
    if facts is None:
        return found
    known = {f.name: f for f in fields(CardFacts)}
    if isinstance(facts, CardFacts):
        given = {name: getattr(facts, name) for name in known}
        facts = {name: value for name, value in given.items() if value not in (None, (), {})}
    unknown = sorted(set(facts) - set(known))
    if unknown:
        raise ValueError(f"a model card has no field {', '.join(unknown)}; its fields are {', '.join(known)}.")
    return replace(found, **dict(facts))


def scores_of(metrics: Mapping[str, Any], split: str | None = None) -> list[Score]:
    """The finite measures of quality of a run as a flat list; `eval_` and `test_` in front are the split.

    `name_low` and `name_high` beside `name` are read as its interval; an object with `value` is one metric
    with its interval inside; any other object is a split with metrics of its own.
    """
    scores: list[Score] = []
    for name, value in metrics.items():
        prefix, _, rest = str(name).partition("_")
        place, plain = (SPLITS[prefix], rest) if prefix in SPLITS and rest else (split, str(name))
        if plain in NOT_QUALITY or plain.endswith(("_time", "runtime", "per_second")):
            continue
        if isinstance(value, Mapping):
            if "value" not in value:
                scores += scores_of(value, split=str(name))
                continue
            low, high, value = value.get("low"), value.get("high"), value["value"]
        elif name.endswith(("_low", "_high")) and name.rsplit("_", 1)[0] in metrics:
            continue
        else:
            low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            scores.append(Score(plain, float(value), low, high, place))
    return scores
