"""Runs killed with SIGKILL and started again end with the bits and the log of a run that nobody disturbed."""

from __future__ import annotations

import json
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from mlic_hf.cli.parsing import parse
from mlic_hf.runs.fit import starting_point
from mlic_hf.training.checkpoint import COMPANIONS, METHOD, UNFINISHED, find_checkpoints
from tests.distributed.every_method import BUILD
from tests.distributed.launch import launch, start
from tests.training.killed_run import run, run_script

#: nothing of what a run computes, only how long it took
CLOCKS = ("runtime", "per_second", "flos", "train_loss", "mem_")
FAST = ["supervised", "oass"]


def attempt(key: str, folder: Path, at: int) -> tuple[int, list[str]]:
    """Start the run once; its exit code and the moments it came through."""
    process = start(run, (key, str(folder), at))
    process.join(120)
    assert process.exitcode is not None, f"{key} hangs after {moments(folder)[-3:]}"
    passed = moments(folder)
    (folder.parent / f"{folder.name}.diary").unlink(missing_ok=True)
    return process.exitcode, passed


def moments(folder: Path) -> list[str]:
    diary = folder.parent / f"{folder.name}.diary"
    return diary.read_text().splitlines() if diary.is_file() else []


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """key -> (folder, moments) of a run that nobody disturbed."""
    found: dict[str, tuple[Path, list[str]]] = {}

    def of(key: str) -> tuple[Path, list[str]]:
        if key not in found:
            folder = tmp_path_factory.mktemp("undisturbed") / key
            code, passed = attempt(key, folder, 0)
            assert code == 0
            found[key] = folder, passed
        return found[key]

    return of


def told(folder: Path) -> list[dict[str, Any]]:
    """The log without clocks."""
    return without_clocks(json.loads((folder / "trainer_state.json").read_text())["log_history"])


def without_clocks(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if not any(word in k for word in CLOCKS)} for line in log]


def tensors(path: Path) -> bytes | Any:
    return torch.load(path, weights_only=False) if path.suffix in (".pt", ".pth") else path.read_bytes()


def assert_same_tensors(a: Any, b: Any, where: str) -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same_tensors(a[key], b[key], f"{where}: {key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for index, (x, y) in enumerate(zip(a, b)):
            assert_same_tensors(x, y, f"{where}[{index}]")
    else:
        assert a == b, where


def assert_same_result(found: Path, expected: Path) -> None:
    """Weights of both kinds, the method's own state, optimizer, schedule, scores and log, to the last bit."""
    a, b = find_checkpoints(found)[-1], find_checkpoints(expected)[-1]
    assert a.name == b.name
    assert told(a) == told(b)
    assert len(told(b)) > 10
    names = {path.relative_to(b) for path in b.rglob("*") if path.is_file()}
    assert {path.relative_to(a) for path in a.rglob("*") if path.is_file()} == names
    for name in sorted(names):
        # rng_state: numpy's and python's generators are in it, and nothing here draws from them
        if name.name not in ("trainer_state.json", "training_args.bin", "rng_state.pth"):
            assert_same_tensors(tensors(a / name), tensors(b / name), str(name))
    for name in ("model.safetensors", "weights.json", "config.json"):
        assert (found / name).read_bytes() == (expected / name).read_bytes()
    # A run killed between its last checkpoint and the deletion of the oldest keeps that one.
    assert {p.name for p in found.glob("checkpoint-*")} >= {p.name for p in expected.glob("checkpoint-*")}


def kill_again_and_again(key: str, folder: Path, undisturbed: Any, kills: int, seed: int) -> list[str]:
    """Kill a run at random moments, each among those that are left to it, then let it end; where it was killed."""
    expected, passed = undisturbed(key)
    generator = random.Random(f"{key} {seed}")
    left, where = len(passed), []
    for _ in range(kills):
        code, came_through = attempt(key, folder, generator.randint(1, max(1, left // 2)))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        where.append(came_through[-1])
        left -= len(came_through) // 2
    else:
        assert attempt(key, folder, 0)[0] == 0
    print(key, "killed", where)
    assert_same_result(folder, expected)
    return where


@pytest.mark.parametrize("key", FAST)
def test_kills_at_random_moments_change_nothing(key: str, undisturbed: Any, tmp_path: Path) -> None:
    assert len(kill_again_and_again(key, tmp_path / "run", undisturbed, kills=3, seed=0)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("key", [key for key in BUILD if key not in FAST])
def test_kills_at_random_moments_change_nothing_in_every_method(
    key: str, seed: int, undisturbed: Any, tmp_path: Path
) -> None:
    assert len(kill_again_and_again(key, tmp_path / "run", undisturbed, kills=4, seed=seed)) >= 3


def nth(passed: list[str], name: str, number: int) -> int:
    """Which moment is the number-th of a name."""
    return [moment for moment, own in enumerate(passed, start=1) if own == name][number - 1]


# one word a moment: with the second checkpoint half there, before and after its rename, in the second evaluation
@pytest.mark.parametrize(
    "name, number",
    [
        ("half save_file", 3),
        ("before replace", 2),
        ("after prediction_step", 6),
        pytest.param("half save", 5, marks=pytest.mark.slow),
        pytest.param("after replace", 2, marks=pytest.mark.slow),
        pytest.param("before rmtree", 9, marks=pytest.mark.slow),
        pytest.param("before compute_loss", 2, marks=pytest.mark.slow),
    ],
)
def test_a_kill_at_a_bad_moment_changes_nothing(name: str, number: int, undisturbed: Any, tmp_path: Path) -> None:
    expected, passed = undisturbed("oass")
    folder = tmp_path / "run"
    code, came_through = attempt("oass", folder, nth(passed, name, number))
    assert code == -signal.SIGKILL
    assert came_through[-1] == name
    in_checkpoint = name in ("half save_file", "half save", "before replace")
    assert (folder / UNFINISHED).is_dir() or not in_checkpoint
    before = [path.name for path in find_checkpoints(folder)]
    assert attempt("oass", folder, 0)[0] == 0
    assert (folder / f"{UNFINISHED}.set_aside").is_dir() == in_checkpoint
    assert bool(before) == (name != "before compute_loss")
    assert_same_result(folder, expected)


def test_the_methods_own_state_is_in_the_checkpoint(undisturbed: Any) -> None:
    folder, _ = undisturbed("oass")
    assert (find_checkpoints(folder)[-1] / COMPANIONS).is_file()
    assert not (find_checkpoints(folder)[-1] / METHOD).is_file()


def in_two(folder: str, at: int) -> None:
    run("supervised", folder, at, images=20, batch=3)  # four steps an epoch, the last one filled up


def test_two_processes_resume_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    launch(in_two, (str(tmp_path / "whole"), 0))
    passed = moments(tmp_path / "whole")
    kill = nth(passed, "before compute_loss", 8)  # the eighth step; the sixth is the last that was kept
    with pytest.raises(AssertionError, match="ended with"):
        launch(in_two, (str(tmp_path / "run"), kill))
    assert [path.name for path in find_checkpoints(tmp_path / "run")][-1] == "checkpoint-6"
    launch(in_two, (str(tmp_path / "run"), 0))
    a, b = (find_checkpoints(tmp_path / name)[-1] for name in ("run", "whole"))
    assert a.name == b.name == "checkpoint-16"
    for name in ("model.safetensors", "weights.json"):
        assert (a / name).read_bytes() == (b / name).read_bytes()
    for line, expected in zip(told(a), told(b), strict=True):
        assert line == pytest.approx(expected, rel=1e-6)


SCRIPT = [
    *("--dataset", "digit_scenes"),
    *("--data_options", '{"train_images": 40, "validation_images": 12, "test_images": 12}'),
    *("--backbone", "test_resnet", "--pretrained", "false", "--image_size", "32", "--num_train_epochs", "3"),
    *("--per_device_train_batch_size", "16", "--dataloader_num_workers", "0", "--learning_rate", "1e-2"),
    *("--ema_decay", "0.9", "--use_cpu", "true", "--disable_tqdm", "true"),
]


def script(folder: Path, cache: Path, at: int = 0) -> tuple[int, list[str], dict[str, Any]]:
    """Start the real script; its exit code, the moments it came through, and run.json."""
    process = start(run_script, (SCRIPT, str(folder), str(cache), at))
    process.join(120)
    passed = moments(folder)
    (folder.parent / f"{folder.name}.diary").unlink(missing_ok=True)
    written = folder / "run.json"
    return process.exitcode, passed, json.loads(written.read_text()) if written.is_file() else {}


def test_the_script_takes_a_killed_run_up_and_reads_a_finished_one(tmp_path: Path) -> None:
    cache, whole, broken = tmp_path / "cache", tmp_path / "whole", tmp_path / "broken"
    code, passed, expected = script(whole, cache)
    assert code == 0
    # with another number of processes its steps would be others
    others = tmp_path / "others"
    shutil.copytree(whole, others)
    assert find_checkpoints(others)
    (others / "run.json").write_text(json.dumps(expected | {"finished": False, "processes": 2}))
    settings = parse("", "supervised", [*SCRIPT, "--output_dir", str(others)])
    with pytest.raises(ValueError, match=r"a run that 2 processes began, and this is 1: .* overwrite: true"):
        starting_point(settings, None)
    # in the second epoch, then while a checkpoint is renamed
    for at in (nth(passed, "after compute_loss", 5), nth(passed, "before replace", 2)):
        code, _, found = script(broken, cache, at)
        assert code == -signal.SIGKILL
        assert found["finished"] is False
    code, passed_again, _ = script(broken, cache)
    assert code == 0
    assert len(passed_again) < len(passed)
    found = json.loads((broken / "run.json").read_text())
    for file in ("model.safetensors", "weights.json", "config.json"):
        assert (broken / file).read_bytes() == (whole / file).read_bytes()
    assert found["metrics"] == expected["metrics"]
    assert without_clocks(found["log"]) == without_clocks(expected["log"])

    files = {path: path.stat().st_mtime_ns for path in broken.rglob("*") if path.is_file()}
    code, passed_again, again = script(broken, cache)
    assert (code, again) == (0, found)
    assert not any("compute_loss" in name or "save" in name for name in passed_again)
    assert {path: path.stat().st_mtime_ns for path in broken.rglob("*") if path.is_file()} == files
