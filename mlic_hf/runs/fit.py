"""Train one model into one folder: resumable, skipped when done, described by run.json."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from filelock import FileLock, Timeout
from transformers import set_seed
from transformers.utils.logging import disable_progress_bar

from mlic_hf.data import FeatureMaps
from mlic_hf.hub.privacy import command_line, publishable
from mlic_hf.methods.base import Method
from mlic_hf.methods.registry import FOLDERS, build_objectives, extra_objectives
from mlic_hf.methods.teachers import unanswered
from mlic_hf.methods.views import PixelSpec
from mlic_hf.metrics import bootstrap_map, fit_calibration, multilabel_metrics, tune_thresholds
from mlic_hf.reports.curves_picture import draw_curves
from mlic_hf.runs.data import Data, evaluation_set, training_set, with_unlabelled
from mlic_hf.runs.features import kept_answers, kept_features
from mlic_hf.runs.models import build_model
from mlic_hf.runs.settings import Settings, settings_of
from mlic_hf.runs.terminal import shown
from mlic_hf.training import MultiLabelTrainer
from mlic_hf.training.checkpoint import find_checkpoints, set_aside_unfinished

logger = logging.getLogger(__name__)
RUN = "run.json"
CURVES = "curves.png"
#: settings that change where or how a run is made, not what it makes
NOT_IDENTITY = {
    *("config", "output_dir", "overwrite", "resume", "traceback", "push_to", "student_alone", "alone_run"),
    *(
        "dataloader_num_workers",
        "cache_images",
        "report_to",
        "disable_tqdm",
        "logging_steps",
        "feature_folder",
        "save_total_limit",
        "psd.jobs",
    ),
}


def identity(settings: Settings) -> dict[str, Any]:
    """The settings that make a run what it is, those of other methods left out, ready for a run.json."""
    own = f"{settings.run.method}."
    kept = {
        name: value
        for name, value in settings.values.items()
        if name not in NOT_IDENTITY and ("." not in name or name.startswith(own))
    }
    return publishable(json.loads(json.dumps(kept, sort_keys=True, default=str)), settings.training.output_dir)


def with_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """Settings and, for those that are not among them, their defaults."""
    known = settings_of(list(FOLDERS))
    own = f"{values['method']}."
    defaults = {
        name: setting.default
        for name, setting in known.items()
        if name not in NOT_IDENTITY and ("." not in name or name.startswith(own))
    }
    values = {name: value for name, value in values.items() if "." not in name or name.startswith(own)}
    return {**json.loads(json.dumps(defaults, default=str)), **values}


def same_settings(told: dict[str, Any], settings: Settings) -> bool:
    """Whether a run.json is that of a run with these settings."""
    before = publishable(told["settings"], settings.training.output_dir)
    return with_defaults(before) == with_defaults(identity(settings))


def starting_point(settings: Settings, resume: str | None) -> tuple[dict[str, Any] | None, str | None]:
    """What an output folder already holds: the run.json of a finished run, or a checkpoint to continue from.

    Raises:
        FileNotFoundError: if the checkpoint to resume from is not there.
        ValueError: if the folder holds a run with other settings, finished or with checkpoints.
    """
    folder = Path(settings.training.output_dir)
    if resume is not None and not Path(resume).is_dir():
        raise FileNotFoundError(f"resume is {resume}, but there is no such folder.")
    told = folder / RUN
    before = json.loads(told.read_text(encoding="utf-8")) if told.is_file() else None
    checkpoints = find_checkpoints(folder)
    # A run that died before its first checkpoint has left nothing that another could spoil.
    if before is not None and (before["finished"] or checkpoints):
        # A setting that was left at its default is the same as one that was given with that value.
        was, now = with_defaults(publishable(before["settings"], folder)), with_defaults(identity(settings))
        differing = sorted(name for name in {*was, *now} if was.get(name) != now.get(name))
        if differing:
            name = differing[0]
            raise ValueError(
                f"{folder} holds a run with other settings ({', '.join(differing[:6])}; {name} was "
                f"{was.get(name)!r} and is {now.get(name)!r} now). Choose another output_dir, or start anew "
                "with overwrite: true."
            )
        if before["finished"] and resume is None:
            return before, None
        processes = PartialState().num_processes
        if before["processes"] != processes:
            raise ValueError(
                f"{folder} holds a run that {before['processes']} processes began, and this is {processes}: its steps "
                "would be other steps. Start as many again, or start anew with overwrite: true."
            )
    return None, resume or (str(checkpoints[-1]) if checkpoints else None)


def versions() -> dict[str, str]:
    """The versions a result depends on."""
    names = (
        "torch",
        "torchvision",
        "transformers",
        "accelerate",
        "timm",
        "datasets",
        "albumentations",
        "numpy",
    )
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> str:
    """What a process trains on: its GPU, or the processor and how many cores of it."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{os.cpu_count()} CPU cores, {platform.processor() or platform.machine()}"


def fit(settings: Settings, data: Data, teacher: Any = None) -> dict[str, Any]:
    """Train one model, or take it up where it was left, or just read it if it is done.

    Args:
        settings: with an `output_dir` of its own.
        data: the splits and the labels the model answers for.
        teacher: a `Teacher`, or None.

    Returns:
        The content of run.json: settings, data, metrics on validation and test, versions, and of a teacher the labels
        of which it says nothing.
    """
    run, args = settings.run, settings.training
    for name in ("train_split", "eval_split", "test_split"):
        data.images(getattr(run, name), name)  # a split that is missing is told before the training, not after
    folder = Path(args.output_dir)
    main_process = PartialState().is_main_process
    if run.overwrite and main_process and folder.is_dir():
        with sole_writer(folder):
            shutil.rmtree(folder, ignore_errors=True)
    PartialState().wait_for_everyone()
    finished, resume = starting_point(settings, run.resume)
    PartialState().wait_for_everyone()  # all have read before the first one writes
    if finished is not None:
        return finished | {"folder": str(folder)}
    told = {
        "format_version": 1,
        "finished": False,
        "method": run.method,
        "settings": identity(settings),
        "resolved": with_defaults(identity(settings)),
        "data": data.described | {"train": run.train_split, "eval": run.eval_split, "test": run.test_split},
        "command": command_line(sys.argv),
        "versions": versions(),
        "seed": args.seed,
        "processes": PartialState().num_processes,
        "hardware": hardware(),
    }
    if teacher is not None:  # the labels that the student learns without it
        told["unanswered"] = unanswered(teacher, data.labels.names)
    begun = time.monotonic()
    with sole_writer(folder) if main_process else nullcontext():
        if main_process:
            if aside := set_aside_unfinished(folder):
                logger.warning("A checkpoint was only half written when the last run ended; it now lies in %s.", aside)
            write_run(folder, told)
        set_seed(args.seed)
        disable_progress_bar()  # of saving weights; that of the steps stays
        trainer = make_trainer(settings, data, teacher)
        with shown(trainer, folder.resolve().name):
            trainer.train(resume_from_checkpoint=resume)
            told |= results(trainer, settings, data)
        trainer.save_model()
        told |= {"finished": True, "hours": None if resume else (time.monotonic() - begun) / 3600}
        if main_process:
            write_run(folder, told)
            draw(folder, told["log"])
        PartialState().wait_for_everyone()
    return told | {"folder": str(folder)}


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder. The system drops the lock of a killed run, so none blocks its own resume.

    Raises:
        ValueError: if another run is writing there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(f"Another run is writing into {folder}; wait for it or choose another output_dir.") from None
    try:
        yield
    finally:
        lock.release()


def make_trainer(settings: Settings, data: Data, teacher: Any) -> MultiLabelTrainer:
    """The trainer of a run: a new student, the method with the losses borrowed from others, the data."""
    run, args = settings.run, settings.training
    student = build_model(run, data.labels.names)
    objectives = build_objectives(settings.method, student, teacher)
    objectives += extra_objectives(run.extra_losses, student, teacher)
    method = Method(objectives, PixelSpec.of_model(student), teacher)
    seed = args.seed if args.data_seed is None else args.data_seed
    train = training_set(run, data, method.batch_pixels, method.views, seed)
    evaluated = evaluation_set(run, data, method.pixels, run.eval_split, "eval_split")
    if run.feature_views:
        method, train, evaluated = on_features(settings, data, student, method, train, evaluated)
    train = with_unlabelled(run, data, train)
    return MultiLabelTrainer(student, args, train_dataset=train, eval_dataset=evaluated, method=method)


def on_features(
    settings: Settings, data: Data, student: Any, method: Method, train: Any, evaluated: Any
) -> tuple[Method, Any, Any]:
    """The method and the two data sets as feature maps of the student's backbone, which is frozen by this.

    A teacher is asked beforehand, about the pictures of which the maps are made.

    Raises:
        ValueError: if an objective needs the pixels, or a cache of answers holds fewer draws.
    """
    run = settings.run
    if needing := [name for name, objective in method.objectives.items() if objective.needs_pixels]:
        raise ValueError(
            f"feature_views is {run.feature_views}, but {', '.join(needing)} of {run.method} needs the pixels: leave "
            "it 0, or give it to the teacher's own training (teacher_run)."
        )
    views = 1 if train.transform.config.deterministic else run.feature_views
    place = feature_place(settings)
    teacher = kept_answers(method, train, place["folder"], views, place["batch_size"])
    source = described(data, run.train_split)
    drawn = kept_features(student, train, source, method.batch_pixels, method.pixels, views, **place)
    taught = method if teacher is method.teacher else method.taught_by(teacher)
    shown = FeatureMaps(train, drawn, views, pairs=method.views > 1)
    return taught, shown, plain_features(settings, data, student, evaluated, run.eval_split)


def plain_features(settings: Settings, data: Data, student: Any, images: Any, split: str) -> FeatureMaps:
    """The images of a split, shown as in use, as feature maps of the student's backbone."""
    pixels = PixelSpec.of_model(student)
    place = kept_features(student, images, described(data, split), pixels, pixels, 1, **feature_place(settings))
    return FeatureMaps(images, place, 1)


def feature_place(settings: Settings) -> dict[str, Any]:
    """Where feature maps are kept, and how many images go at once."""
    folder = settings.run.feature_folder or Path(settings.training.output_dir) / "features"
    return {"folder": Path(folder), "batch_size": settings.training.per_device_eval_batch_size}


def described(data: Data, split: str) -> dict[str, Any]:
    """What tells the images of a split from others."""
    return {key: data.described[key] for key in ("name", "options")} | data.described["splits"][split]


def score(trainer: MultiLabelTrainer, dataset: Any, prefix: str) -> tuple[Any, Any, dict[str, float]]:
    """Logits (N, C) and labels (N, C) of a data set, and all metrics with the prefix."""
    output = trainer.predict(dataset, metric_key_prefix=prefix)
    # in double precision, where confident logits keep their order
    logits = output.predictions.astype(np.float64)
    metrics = multilabel_metrics(sigmoid(logits), output.label_ids)
    return logits, output.label_ids, {f"{prefix}_{name}": value for name, value in metrics.items()}


def results(trainer: MultiLabelTrainer, settings: Settings, data: Data) -> dict[str, Any]:
    """Scores of the best weights on validation and test; thresholds and calibration go into the config."""
    run = settings.run
    logits, labels, metrics = score(trainer, trainer.eval_dataset, "eval")
    config = trainer.model.config
    config.thresholds = [round(float(value), 6) for value in tune_thresholds(sigmoid(logits), labels)]
    config.calibration = fit_calibration(logits, labels)
    test = evaluation_set(run, data, trainer.method.pixels, run.test_split, "test_split")
    if test is not None:
        logits, labels, tested = score(trainer, test, "test")
        interval = bootstrap_map(sigmoid(logits), labels)
        metrics |= tested | {"test_mAP_low": interval.low, "test_mAP_high": interval.high}
    return {
        "metrics": metrics,
        "weights": trainer.weights.scores,
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "steps": trainer.state.global_step,
        "log": trainer.state.log_history,
    }


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities, in the precision of the logits."""
    return torch.from_numpy(logits).sigmoid().numpy()


def write_run(folder: Path, told: dict[str, Any]) -> None:
    """Write run.json in one go, so that it is never half there, and without anything that nobody should publish."""
    temporary = folder / f"{RUN}.tmp"
    plain = publishable(json.loads(json.dumps(told, default=_plain)), folder)
    temporary.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / RUN)


def draw(folder: Path, log: list[dict[str, Any]]) -> None:
    """The picture of the run's curves beside run.json, where its model card looks for it."""
    if importlib.util.find_spec("matplotlib") is None:
        logger.info("%s is not drawn: pictures need matplotlib, pip install 'mlic_hf[reports]'.", folder / CURVES)
    elif any("loss" in line or "eval_mAP" in line for line in log):
        draw_curves(log, folder / CURVES)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, torch.Tensor) or hasattr(value, "item") else str(value)


def only(settings: Settings, section: dict[str, Any], **changes: Any) -> Settings:
    """The settings of a stage: the run's own without what is other stages', those of its section, what it fixes."""
    others: dict[str, Any] = {"teacher_run": {}, "alone_run": {}, "student_alone": False}
    others |= {"teacher": None, "teachers": None, "teacher_cache": None, "unlabelled": None}
    others |= {"teacher_labels": {}, "teacher_options": {}}
    return settings.but(**{**others, **section, **changes})
