"""Scores of every image of a split by models that have not seen its labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from mlic_hf.data import LabelSpace, MultiLabelDataset, TransformConfig, build_transform
from mlic_hf.methods.saved_model import load_saved
from mlic_hf.methods.views import PixelSpec
from mlic_hf.runs.data import Data, folds_of
from mlic_hf.runs.frozen_heads import out_of_fold_scores, pooled_features
from mlic_hf.runs.jobs import Job, logs_of, run_jobs
from mlic_hf.runs.models import build_model
from mlic_hf.runs.scoring import score_images
from mlic_hf.runs.settings import Settings
from mlic_hf.runs.study import finished


def scores_of_model(folder: str, settings: Settings, data: Data, split: str) -> tuple[np.ndarray, LabelSpace]:
    """Scores of a saved model on a split that it was not trained on, and the labels it knows.

    Args:
        folder: of the model, or its Hub name.
        settings: batch size and workers.
        data: with the split.
        split: its name.

    Returns:
        (images, labels) float64 probabilities, and the label space of the columns.

    Raises:
        ValueError: no such model or split, or pictures that cannot be read.
    """
    model = _ready(load_saved(folder, "model"))
    space = LabelSpace.from_config(model.config)
    images = _images(model, data.images(split, "split"), space)
    args = settings.training
    scores, _, _ = score_images(model, images, args.per_device_eval_batch_size, args.dataloader_num_workers)
    return scores, space


def scores_of_folds(settings: Settings, data: Data, folds: int, at_once: int = 0) -> np.ndarray:
    """Scores of the training images, each by a model that was trained without its fold.

    Every fold is a run of its own in `<output_dir>/fold_<i>`; finished ones are read, broken ones resumed.

    Args:
        settings: of all runs.
        data: with the whole training split.
        folds: how many.
        at_once: runs together; 0 for one a GPU, or one a CPU core without.

    Returns:
        (images, labels) float64 probabilities.

    Raises:
        ValueError: naming the runs that failed and their logs.
    """
    parts = folds_of(data, settings.run.train_split, folds)
    jobs = [_fold_job(settings, folds, fold) for fold in range(folds)]
    failed = run_jobs([job for job in jobs if finished(job) is None], at_once, "fold")
    if failed:
        raise ValueError(f"{len(failed)} folds failed; their logs: {logs_of(failed)}. Start again to resume.")
    scores = np.zeros((len(data.splits[settings.run.train_split]), len(data.labels)))
    for job, part in zip(jobs, parts):
        told = finished(job)
        assert told is not None, f"{job.folder} was finished a moment ago"
        split = settings.run.train_split
        held = Data({split: data.splits[split].select(part.tolist())}, data.labels, data.described)
        found, space = scores_of_model(told["folder"], settings, held, split)
        scores[part] = found[:, space.positions(data.labels.names)]
    return scores


def scores_of_heads(settings: Settings, data: Data, folds: int) -> np.ndarray:
    """Scores of the training images by linear heads on the frozen backbone of the settings; see `out_of_fold_scores`.

    Returns:
        (images, labels) float64 probabilities.
    """
    model = _ready(build_model(settings.run, data.labels.names))
    images = _images(model, data.images(settings.run.train_split, "train_split"), data.labels)
    args = settings.training
    features = pooled_features(model, images, args.per_device_eval_batch_size, args.dataloader_num_workers)
    return out_of_fold_scores(features, images.labels, folds)


def targets_of(data: Data, split: str, space: LabelSpace) -> np.ndarray:
    """The labels (images, labels) of a split in {1, 0, -1}, in the order of a label space; no picture is read."""
    transform = build_transform(TransformConfig(kind="eval"))
    return MultiLabelDataset(data.images(split, "split"), space, transform).labels.numpy()


def _fold_job(settings: Settings, folds: int, fold: int) -> Job:
    place = Path(settings.training.output_dir) / f"fold_{fold}"
    own = {"folds": folds, "fold": fold, "test_split": None, "output_dir": str(place)}
    return Job(f"fold {fold}", settings.but(**own))


def _ready(model: Any) -> Any:
    return model.eval().to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def _images(model: Any, rows: Any, space: LabelSpace) -> MultiLabelDataset:
    """The pictures as the model sees them in use."""
    transform = TransformConfig(kind="eval", **vars(PixelSpec.of_model(model)))
    return MultiLabelDataset(rows, space, build_transform(transform))
