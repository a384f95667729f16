"""Missing and rare labels from the shell: the options of the data, the losses and the sampling reach the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dataset_builders import load_splits
from mlic_hf.cli.parsing import parse
from mlic_hf.data import class_weights, label_matrix
from mlic_hf.runs.data import load_data
from mlic_hf.runs.fit import make_trainer
from tests.scripts.folder import FLAGS, start


def test_labels_that_nobody_listed_are_unknown_in_training_alone(folder: Path, tmp_path: Path) -> None:
    flags = ["--data_options", '{"unlisted": "unknown"}']
    flags += ["--supervised.loss", "em", "--supervised.settings", '{"unlisted": -1}']
    told = start("supervised", folder, tmp_path / "run", *flags)["student"]
    assert told["finished"]
    assert 0 < told["metrics"]["eval_mAP"] < 1
    settings = parse("", "supervised", ["--dataset", str(folder), "--output_dir", str(tmp_path / "x"), *FLAGS, *flags])
    splits = load_data(settings.run).splits
    assert all(
        set(row["labels"]) ^ set(row["ignored"]) == set(range(5)) for row in splits["train"].remove_columns("image")
    )
    assert not any(splits["validation"]["ignored"])


def test_rare_labels_weigh_more_and_are_seen_more(folder: Path, tmp_path: Path) -> None:
    flags = ["--supervised.class_weights", "balanced", "--train_sampling_strategy", "repeat_factor"]
    flags += ["--repeat_threshold", "0.9", "--dataset", str(folder), "--output_dir", str(tmp_path / "run"), *FLAGS]
    settings = parse("", "supervised", flags)
    trainer = make_trainer(settings, load_data(settings.run), None)
    labels = label_matrix(trainer.train_dataset)
    counts = (labels > 0).sum(0).numpy()
    assert counts.tolist() == np.bincount(np.concatenate(load_splits(folder)["train"]["labels"]), minlength=5).tolist()
    expected = class_weights(counts, len(labels), "balanced")
    assert trainer.method.objectives["bce"].pos_weight.tolist() == expected.tolist()
    assert len(trainer._get_train_sampler()) > len(labels)
