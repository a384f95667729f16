"""Batch 8 in one process, 4 in each of two, or 4 twice before a step: the same weights, averages and log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mlic_hf.data import EpochSampler
from mlic_hf.methods.registry import FOLDERS
from mlic_hf.runs.fit import score
from mlic_hf.training.even_batches import EvenSampler, UnlabelledRepeats
from tests.distributed.every_method import BUILD
from tests.distributed.launch import launch
from tests.distributed.same_run import Case, differences, left_behind, run_all, trained
from tests.training.tiny import dataset, make_trainer

# 17 images: the last step has one, so a process has none of its own; 22: one process has four, the other two.
FAST = [("supervised", 17), ("l2d", 22)]
SLOW = [(key, images) for key in BUILD for images in (17, 22) if (key, images) not in FAST]
PER_IMAGE = ["supervised", "psd", "co_occurrence", "oass", "oass_online", "l2d_per_image", "mulcon_stage_one"]

Runs = dict[Case, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def fast_runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    cases = [(*case, processes, 1) for case in FAST for processes in (1, 2)]
    return run_all([*cases, ("supervised", 17, 1, 2)], tmp_path_factory.mktemp("fast"))


@pytest.fixture(scope="module")
def slow_runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    cases = [(*case, processes, 1) for case in SLOW for processes in (1, 2)]
    cases += [(key, 17, 1, steps) for key in PER_IMAGE for steps in (1, 2) if (key, 17, 1, steps) not in cases]
    return run_all(cases, tmp_path_factory.mktemp("slow"))


def assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]], key: str) -> None:
    (one,) = expected
    start = BUILD[key]().student.state_dict()
    assert one["step"] == 3
    assert max((one["student"][name] - tensor).abs().max() for name, tensor in start.items()) > 3e-4
    for other in found:
        told = differences(other, one)
        print(key, told)
        assert other["step"] == 3
        assert max(told.values()) <= 1e-5, told
        for line, expected_line in zip(other["log"], one["log"], strict=True):
            assert line == pytest.approx(expected_line, rel=1e-4, abs=1e-6)


def test_every_method_is_here() -> None:
    assert set(FOLDERS) <= set(BUILD)
    coupled = {key for key, build in BUILD.items() if build().couples_images}
    assert set(BUILD) - coupled == set(PER_IMAGE)


@pytest.mark.parametrize("key, images", FAST)
def test_two_processes_equal_one(fast_runs: Runs, key: str, images: int) -> None:
    assert_same(fast_runs[key, images, 2, 1], fast_runs[key, images, 1, 1], key)


@pytest.mark.slow
@pytest.mark.parametrize("key, images", SLOW)
def test_two_processes_equal_one_in_every_method(slow_runs: Runs, key: str, images: int) -> None:
    assert_same(slow_runs[key, images, 2, 1], slow_runs[key, images, 1, 1], key)


def test_two_accumulation_steps_equal_one_batch(fast_runs: Runs) -> None:
    assert_same(fast_runs["supervised", 17, 1, 2], fast_runs["supervised", 17, 1, 1], "supervised")


@pytest.mark.slow
@pytest.mark.parametrize("key", PER_IMAGE)
def test_two_accumulation_steps_equal_one_batch_in_every_per_image_method(slow_runs: Runs, key: str) -> None:
    assert_same(slow_runs[key, 17, 1, 2], slow_runs[key, 17, 1, 1], key)


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
    assert (repeat["labels"] < -1).all()
    assert (first["labels"] >= 0).any()
    order.set_epoch(2)
    assert list(order) != indices


def test_repeats_that_count_as_new_images_would_be_noticed(fast_runs: Runs, tmp_path: Path) -> None:
    """The comparison can fail: it does when accelerate's own repeats are trained on."""
    launch(_with_accelerates_repeats, (str(tmp_path),))
    two = torch.load(tmp_path / "0.pt", weights_only=True)
    assert differences(two, fast_runs["supervised", 17, 1, 1][0])["student"] > 1e-4


def _with_accelerates_repeats(folder: str) -> None:
    UnlabelledRepeats.__getitem__ = lambda self, index: self.dataset[index % len(self)]  # type: ignore[method-assign]
    trainer = trained("supervised", Path(folder) / "two", 17, processes=2)
    torch.save(left_behind(trainer), Path(folder) / f"{trainer.args.process_index}.pt")


EVALUATED = (13, 16, 1)


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluations")
    launch(_evaluate, (str(folder), 1), 1)
    launch(_evaluate, (str(folder), 2), 2)
    return folder


@pytest.mark.parametrize("images", EVALUATED)
def test_an_evaluation_in_two_processes_is_that_of_one(images: int, evaluations: Path) -> None:
    one, *two = [torch.load(evaluations / f"{images}-{name}.pt", weights_only=False) for name in ("1-0", "2-0", "2-1")]
    assert len(one["scores"]) == images
    for found in two:
        np.testing.assert_array_equal(found["labels"], one["labels"])
        np.testing.assert_allclose(found["scores"], one["scores"], rtol=1e-6)
        # Scores of batches of other sizes differ in their last bits: ranks do not, sums of scores do.
        for both in (found, one):
            both["calibration"] = both["metrics"].pop("test_calibration_error", None) or both["calibration"]
        assert found["calibration"] == pytest.approx(one["calibration"], rel=1e-6)
        np.testing.assert_equal(found["metrics"], one["metrics"])  # exactly, nan included
        assert found["loss"] == pytest.approx(one["loss"], rel=1e-6)
        np.testing.assert_equal(found["told"], one["told"])


def _evaluate(folder: str, processes: int) -> None:
    for images in EVALUATED:
        trainer = make_trainer(Path(folder) / "trainer", per_device_eval_batch_size=4)
        assert trainer.args.world_size == processes
        trainer.eval_dataset = dataset(images, seed=5)
        logits, labels, metrics = score(trainer, trainer.eval_dataset, "test")
        told = trainer.evaluate()
        found = {
            "scores": 1 / (1 + np.exp(-logits)),
            "labels": labels,
            "metrics": metrics,
            "loss": told.pop("eval_loss"),
        }
        found["told"] = {k: v for k, v in told.items() if "second" not in k and "time" not in k}
        torch.save(found, Path(folder) / f"{images}-{processes}-{trainer.args.process_index}.pt")
