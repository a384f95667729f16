"""A study: one baseline and variants of it over several seeds, and what each variant gains.

Every run is a folder `<variant>/seed_<n>`; what is there is read, what is missing is trained. The runs never see the
test split: variants are chosen on validation, and the test split is scored once, when that is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader

from mlic_hf.data import collate
from mlic_hf.hub.privacy import publishable
from mlic_hf.methods.registry import FOLDERS
from mlic_hf.methods.saved_model import load_saved
from mlic_hf.methods.views import PixelSpec
from mlic_hf.runs.data import Data, evaluation_set
from mlic_hf.runs.fit import RUN, identity, only, plain_features, with_defaults
from mlic_hf.runs.jobs import Job, logs_of, run_jobs
from mlic_hf.runs.settings import Settings, check_known, flatten, read_mapping, settings_of
from mlic_hf.runs.teachers import TEACHER_SETTINGS, teacher_settings
from mlic_hf.training.examples import STARTS

BASELINE = "baseline"
#: settings that a run's stages fill in for each other
FILLED_IN = ("teacher", "teachers", "init_from")


@dataclass(frozen=True)
class Study:
    """What a study's file says.

    Attributes:
        recipe: the settings that all runs share: a recipe's file or name.
        seeds: of the weights, the order and the augmentation; a variant and the baseline are compared seed by seed.
        baseline: the settings of the baseline that differ from the recipe's.
        variants: name -> the settings that differ from the recipe's.
        teacher: the settings of one teacher for all variants that need one, trained once; None for none.
    """

    recipe: str
    seeds: Sequence[int]
    baseline: Mapping[str, Any]
    variants: Mapping[str, Mapping[str, Any]]
    teacher: Mapping[str, Any] | None = field(default=None)

    def everyone(self) -> dict[str, Mapping[str, Any]]:
        """The baseline, then the variants."""
        return {BASELINE: self.baseline, **self.variants}


def read_study(path: str | Path) -> Study:
    """A study from its YAML file.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: for a key that is missing or unknown, here or in the settings; names the file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"The study {path} is not there.")
    content = read_mapping(path, "study")
    offered = {part.name for part in fields(Study)}
    needed = offered - {"teacher"}
    if not needed <= set(content) <= offered:
        raise ValueError(f"The study {path} has the keys {sorted(content)}; it wants {sorted(needed)}, maybe teacher.")
    variants = {str(name): flatten(changes or {}) for name, changes in content["variants"].items()}
    if BASELINE in variants:
        raise ValueError(f"The study {path} has a variant named {BASELINE!r}, which is the baseline's name.")
    teacher = None if content.get("teacher") is None else flatten(content["teacher"])
    study = Study(content["recipe"], content["seeds"], flatten(content["baseline"] or {}), variants, teacher)
    known = settings_of(list(FOLDERS))
    for name, changes in {**study.everyone(), "teacher": teacher or {}}.items():
        check_known(list(changes), known, f"{name} of the study {path}")
    return study


def jobs_of(study: Study, settings: Settings) -> tuple[list[Job], dict[str, dict[int, Job]]]:
    """What is to be run before the others, and the runs by variant and seed, below the output_dir of the settings."""
    folder = Path(settings.training.output_dir)
    first, taught_by = [], settings.run.teacher
    if study.teacher is not None:
        taught_by = str(folder / "teacher")
        own = {"method": "supervised", **study.teacher, "test_split": None, "output_dir": taught_by}
        first = [Job("teacher", only(settings, {}, **own))]
    runs: dict[str, dict[int, Job]] = {}
    for name, changes in study.everyone().items():
        reads = teacher_settings(str(changes.get("method", settings.run.method)))
        shared: dict[str, Any] = {setting: None for setting in TEACHER_SETTINGS if setting not in reads}
        shared |= {"teacher": taught_by} if "teacher" in reads else {}
        shared |= {"student_alone": False, "test_split": None}
        runs[name] = {}
        for seed in study.seeds:
            own = {**shared, **changes, "seed": seed, "output_dir": str(folder / name / f"seed_{seed}")}
            runs[name][seed] = Job(f"{name} seed {seed}", settings.but(**own))
    return first, runs


def train_missing(first: Sequence[Job], runs: Mapping[str, Mapping[int, Job]], at_once: int) -> None:
    """Train what is not there, seed by seed, `at_once` together (0: one a GPU, or one a core without).

    Raises:
        ValueError: naming the runs that failed and their logs.
    """
    seeds = dict.fromkeys(seed for jobs in runs.values() for seed in jobs)
    for jobs in (first, [by_seed[seed] for seed in seeds for by_seed in runs.values()]):
        failed = run_jobs([job for job in jobs if finished(job) is None], at_once, "run")
        if failed:
            raise ValueError(f"{len(failed)} runs failed; their logs: {logs_of(failed)}. Start again to resume.")


def finished(job: Job) -> dict[str, Any] | None:
    """run.json of a job's student, with its folder; None if it is not finished.

    Raises:
        ValueError: if the folder holds the run of other settings.
    """
    place = next((p for p in (job.folder / "student", job.folder) if (p / RUN).is_file()), None)
    told = {} if place is None else json.loads((place / RUN).read_text(encoding="utf-8"))
    if place is None or not told.get("finished"):
        return None
    here = job.settings.but(output_dir=str(place))  # paths are told from a run's folder
    was, now = with_defaults(publishable(told["settings"], place)), with_defaults(identity(here))
    asked = {name for name in now if name not in FILLED_IN or now[name] is not None}
    differing = sorted(name for name in asked if was.get(name) != now[name])
    if differing:
        raise ValueError(
            f"{place} holds a run with other settings ({', '.join(differing[:6])}; {differing[0]} was "
            f"{was.get(differing[0])!r} and is {now[differing[0]]!r} now): choose another output_dir, or another "
            "name for the variant."
        )
    return told | {"folder": str(place)}


def scores_of(job: Job, data: Data, split: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Scores (images, labels) in [0, 1] and targets of a job's student on a split; None if it is not finished.

    They are computed once and kept beside the student.
    """
    told = finished(job)
    if told is None:
        return None
    file = Path(told["folder"]) / f"scores_{split}.safetensors"
    if not file.is_file():
        save_file(predict(told["folder"], job.settings, data, split), file)
    kept = load_file(file)
    return kept["scores"].numpy(), kept["targets"].numpy()


@torch.inference_mode()
def predict(folder: str, settings: Settings, data: Data, split: str) -> dict[str, torch.Tensor]:
    """A saved model's `scores` (images, labels) in [0, 1] on a split, and the `targets`.

    Of runs on stored feature maps those of the split are stored as well, once for all runs of the study.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_saved(folder, "student").eval().to(device)
    images = evaluation_set(settings.run, data, PixelSpec.of_model(model), split, "split")
    if settings.run.feature_views:
        images = plain_features(settings, data, model, images, split)
    scores, targets = [], []
    for batch in DataLoader(images, settings.training.per_device_eval_batch_size, collate_fn=collate):
        seen = {name: batch[name].to(device) for name in STARTS if name in batch}
        scores.append(model(**seen).logits.double().sigmoid().cpu())
        targets.append(batch["labels"])
    return {"scores": torch.cat(scores), "targets": torch.cat(targets)}
