"""Class weights and repeat factors follow the training set's labels: counted, exact on processes and when resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mlic_hf.data import EpochSampler, class_weights, label_matrix, repeat_factors, repeated_order
from mlic_hf.methods.supervised import SupervisedConfig
from mlic_hf.training import MultiLabelTrainer
from mlic_hf.training.checkpoint import find_checkpoints
from mlic_hf.training.even_batches import EvenSampler, UnlabelledRepeats
from tests.distributed.launch import launch
from tests.methods.tiny import NAMES, tiny_linear
from tests.training.tiny import arguments, dataset, same_weights

RARE: dict[str, Any] = {
    "train_sampling_strategy": "repeat_factor",
    "repeat_threshold": 0.9,
    "optim": "sgd",
    "learning_rate": 2e-2,
    "batch_norm": "frozen",
    "lr_scheduler_type": "constant",
    "per_device_train_batch_size": 8,
    "logging_strategy": "steps",
    "logging_steps": 1,
}
METHODS = {
    "bce": SupervisedConfig(class_weights="balanced"),
    "em": SupervisedConfig(loss="em", settings={"unlisted": -1}),
    "ll_cp": SupervisedConfig(loss="ll_cp", settings={"largest_share": 0.05}),
}


def make(folder: Path, method: Any = None, **changes: Any) -> MultiLabelTrainer:
    method = method or SupervisedConfig(class_weights="balanced")
    settings = RARE | changes
    return MultiLabelTrainer(
        tiny_linear(), arguments(folder, **settings), None, dataset(17), dataset(8, seed=1), method=method
    )


def test_labels_of_all_images_without_a_picture() -> None:
    images = dataset(9)
    images.rows[2]["ignored"] = [x for x in range(len(NAMES)) if x not in images.rows[2]["labels"]][:1]
    found = label_matrix(images)
    assert torch.equal(found, torch.stack([images[i]["labels"] for i in range(9)]))
    assert torch.equal(label_matrix(UnlabelledRepeats(images)), found)
    assert torch.equal(label_matrix([images[i] for i in range(9)]), found)
    for row in images.rows:
        row["image"] = "not there"
    assert torch.equal(label_matrix(images), found)


def test_labels_that_cannot_be_counted_are_said() -> None:
    with pytest.raises(ValueError, match="has no examples"):
        label_matrix([])
    with pytest.raises(ValueError, match="is a stream; data with a length"):
        label_matrix(iter([]))


def test_the_trainer_counts_for_the_losses(tmp_path: Path) -> None:
    labels = label_matrix(dataset(17))
    expected = class_weights((labels > 0).sum(0).numpy(), 17, "balanced")
    assert torch.equal(make(tmp_path).method.objectives["bce"].pos_weight, expected)
    balanced = make(tmp_path, {"supervised": SupervisedConfig(loss="db")}).method.objectives["db"]
    assert torch.equal(balanced.counts, (labels > 0).sum(0).float())
    assert balanced.num_images == 17


def test_an_epoch_repeats_images_of_rare_labels(tmp_path: Path) -> None:
    factors = repeat_factors(label_matrix(dataset(17)), len(NAMES), 0.9)
    trainer = make(tmp_path, num_train_epochs=1)
    order = trainer._get_train_sampler()
    assert len(order) == len(list(order)) == round(factors.sum()) > 17
    np.testing.assert_array_equal(list(order), repeated_order(factors, trainer.args.seed, 0))
    trainer.train()
    assert trainer.state.max_steps == trainer.state.global_step == -(-len(order) // 8)


def test_repeats_of_rare_labels_are_labelled_and_those_that_fill_up_are_not() -> None:
    images = UnlabelledRepeats(dataset(5))
    order = EvenSampler(EpochSampler(images, seed=3, factors=np.array([1.0, 3.0, 1.0, 1.0, 1.0])), multiple=4)
    indices = list(order)
    assert sorted(indices[:7]) == [0, 1, 1, 1, 2, 3, 4]
    assert indices[7] == indices[0] + 5
    assert [bool((images[index]["labels"] >= 0).any()) for index in indices] == [True] * 7 + [False]


def test_factors_are_one_an_image() -> None:
    with pytest.raises(ValueError, match="2 factors for 5 images"):
        EpochSampler(dataset(5), 0, factors=np.ones(2))
    with pytest.raises(ValueError, match="shuffled"):
        EpochSampler(dataset(5), 0, shuffle=False, factors=np.ones(5))
    with pytest.raises(ValueError, match=r"repeat_threshold is 0\.0"):
        arguments(Path("x"), repeat_threshold=0.0)


@pytest.mark.parametrize("loss", ["bce", "em", "ll_cp"])
def test_two_processes_equal_one(loss: str, tmp_path: Path) -> None:
    for processes in (1, 2):
        launch(_in_process, (str(tmp_path), processes, loss), processes)
    one, *two = [torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("1-0", "2-0", "2-1")]
    start = tiny_linear().state_dict()
    assert max((one["weights"][name] - tensor).abs().max() for name, tensor in start.items()) > 1e-3
    for found in two:
        assert found["losses"] == pytest.approx(one["losses"], rel=1e-4)
        for name, tensor in one["weights"].items():
            torch.testing.assert_close(found["weights"][name], tensor, rtol=0, atol=1e-5)


def _in_process(folder: str, processes: int, loss: str) -> None:
    method = METHODS[loss]
    trainer = make(Path(folder) / f"run-{processes}", method, per_device_train_batch_size=8 // processes)
    if loss == "em":  # what fills up the last batch is no image of unlisted labels
        for row in trainer.train_dataset.rows if processes == 1 else trainer.train_dataset.dataset.rows:
            row["ignored"] = [label for label in range(1, len(NAMES)) if label not in row["labels"]]
    assert trainer.args.world_size == processes
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    kept = {"weights": trainer.model.state_dict(), "losses": losses}
    torch.save(kept, Path(folder) / f"{processes}-{trainer.args.process_index}.pt")


@pytest.mark.parametrize("loss", ["bce", "ll_cp"])
def test_a_resumed_run_is_the_same(loss: str, tmp_path: Path) -> None:
    settings = {"num_train_epochs": 3, "save_strategy": "steps", "save_steps": 1, "save_total_limit": 20}
    settings |= {"eval_strategy": "no", "load_best_model_at_end": False}
    whole = make(tmp_path / "whole", METHODS[loss], **settings)
    whole.train()
    steps = whole.state.max_steps
    middle = next(p for p in find_checkpoints(tmp_path / "whole") if p.name == f"checkpoint-{steps // 2}")
    resumed = make(tmp_path / "resumed", METHODS[loss], **settings)
    resumed.train(resume_from_checkpoint=str(middle))
    assert resumed.state.global_step == steps
    assert same_weights(resumed.model.state_dict(), whole.model.state_dict())
