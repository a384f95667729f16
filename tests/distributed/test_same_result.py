"""Batch 8 in one process, 4 in each of two, or 4 twice before a step: the same weights, averages and log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from accelerate import debug_launcher

from mlic_hf.data import EpochSampler
from mlic_hf.methods.registry import FOLDERS
from mlic_hf.training.even_batches import EvenSampler, UnlabelledRepeats
from tests.distributed import same_run
from tests.distributed.every_method import BUILD
from tests.distributed.same_run import differences, in_two_processes, left_behind, trained
from tests.training.tiny import dataset, make_trainer

# 17 images: the last step has one, so a process has none of its own; 22: one process has four, the other two.
FAST = [("supervised", 17), ("l2d", 22)]
SLOW = [(key, images) for key in BUILD for images in (17, 22) if (key, images) not in FAST]
PER_IMAGE = ["supervised", "psd", "co_occurrence", "oass", "oass_online", "l2d_per_image", "mulcon_stage_one"]

Runs = Callable[[str, int], list[dict[str, Any]]]


def launched_together(cases: list[tuple[str, int]], factory: pytest.TempPathFactory) -> Runs:
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}

    def run(key: str, images: int) -> list[dict[str, Any]]:
        if not found:
            found.update(in_two_processes(cases, factory.mktemp("two")))
        return found[key, images]

    return run


@pytest.fixture(scope="module")
def fast_runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return launched_together(FAST, tmp_path_factory)


@pytest.fixture(scope="module")
def slow_runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return launched_together(SLOW, tmp_path_factory)


def assert_two_equal_one(runs: Runs, key: str, images: int, folder: Path) -> None:
    start = {name: t.clone() for name, t in BUILD[key]().student.state_dict().items()}
    one = left_behind(trained(key, folder, images))
    assert one["step"] == 3
    assert max((one["student"][name] - t).abs().max() for name, t in start.items()) > 1e-3
    for two in runs(key, images):
        found = differences(two, one)
        print(key, images, found)
        assert max(found.values()) <= 1e-5, found
        for line, expected in zip(two["log"], one["log"], strict=True):
            assert line == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_every_method_is_here() -> None:
    assert set(FOLDERS) <= set(BUILD)
    coupled = {key for key, build in BUILD.items() if build().couples_images}
    assert set(BUILD) - coupled == set(PER_IMAGE)


@pytest.mark.parametrize("key, images", FAST)
def test_two_processes_equal_one(fast_runs: Runs, key: str, images: int, tmp_path: Path) -> None:
    assert_two_equal_one(fast_runs, key, images, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("key, images", SLOW)
def test_two_processes_equal_one_in_every_method(slow_runs: Runs, key: str, images: int, tmp_path: Path) -> None:
    assert_two_equal_one(slow_runs, key, images, tmp_path)


@pytest.mark.parametrize(
    "key", [key if key == "supervised" else pytest.param(key, marks=pytest.mark.slow) for key in PER_IMAGE]
)
def test_two_accumulation_steps_equal_one_batch(key: str, tmp_path: Path) -> None:
    one = left_behind(trained(key, tmp_path / "one", 21))
    two = left_behind(trained(key, tmp_path / "two", 21, accumulation=2))
    found = differences(two, one)
    print(key, found)
    assert one["step"] == two["step"] == 3
    assert max(found.values()) <= 1e-5, found


def test_the_repeats_that_fill_up_the_last_batch_are_known_by_their_index() -> None:
    images = UnlabelledRepeats(dataset(5))
    order = EvenSampler(EpochSampler(images, seed=3), multiple=4)
    order.set_epoch(1)
    indices = list(order)
    assert len(images) == 5
    assert len(indices) == len(order) == 8
    assert sorted(indices[:5]) == [0, 1, 2, 3, 4]
    assert indices[5:] == [index + 5 for index in indices[:3]]
    repeat, first = images[indices[5]], images[indices[0]]
    assert repeat["image_id"] == first["image_id"]
    assert torch.equal(repeat["pixel_values"], first["pixel_values"])
    assert (repeat["labels"] == -1).all()
    assert (first["labels"] >= 0).any()
    order.set_epoch(2)
    assert list(order) != indices


def test_repeats_that_count_as_new_images_would_be_noticed(tmp_path: Path) -> None:
    """The comparison can fail: it does when accelerate's own repeats are trained on."""
    debug_launcher(_with_accelerates_repeats, args=(str(tmp_path),), num_processes=2)
    two = torch.load(tmp_path / "0.pt", weights_only=True)
    one = left_behind(trained("supervised", tmp_path / "one", 17))
    assert differences(two, one)["student"] > 1e-4


def _with_accelerates_repeats(folder: str) -> None:
    torch.set_num_threads(1)
    UnlabelledRepeats.__getitem__ = lambda self, index: self.dataset[index % len(self)]  # type: ignore[method-assign]
    found = left_behind(same_run.trained("supervised", Path(folder) / "two", 17, processes=2))
    if dist.get_rank() == 0:
        torch.save(found, Path(folder) / "0.pt")


@pytest.mark.parametrize("images", [13, 16, 1])
def test_an_evaluation_in_two_processes_is_that_of_one(images: int, tmp_path: Path) -> None:
    scores, labels, metrics, told = evaluated(tmp_path / "one", images)
    debug_launcher(_evaluate_in_process, args=(str(tmp_path), images), num_processes=2)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=False)
        np.testing.assert_array_equal(found["labels"], labels)
        np.testing.assert_allclose(found["scores"], scores, rtol=1e-6)
        np.testing.assert_equal(found["metrics"], metrics)  # exactly, nan included
        loss = told.pop("eval_loss") if rank == 0 else loss
        assert found["told"].pop("eval_loss") == pytest.approx(loss, rel=1e-6)
        np.testing.assert_equal(found["told"], told)


def evaluated(folder: Path, images: int) -> tuple[Any, Any, dict[str, float], dict[str, float]]:
    trainer = make_trainer(folder, per_device_eval_batch_size=4)
    trainer.eval_dataset = dataset(images, seed=5)
    scores, labels, metrics = trainer.test(trainer.eval_dataset, "test")
    told = trainer.evaluate()
    return scores, labels, metrics, {k: v for k, v in told.items() if "second" not in k and "time" not in k}


def _evaluate_in_process(folder: str, images: int) -> None:
    torch.set_num_threads(1)
    scores, labels, metrics, told = evaluated(Path(folder) / "two", images)
    assert dist.get_world_size() == 2
    assert len(scores) == images
    found = {"scores": scores, "labels": labels, "metrics": metrics, "told": told}
    torch.save(found, Path(folder) / f"{dist.get_rank()}.pt")
