"""What a training shows: a table that grows by a row an evaluation, and one line a stage that nothing breaks."""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from mlic_hf.cli import run_verb
from mlic_hf.runs.terminal import cell, shown, words
from tests.scripts.folder import make_folder, start
from tests.training.tiny import make_trainer

STEPS: dict[str, Any] = {"eval_strategy": "steps", "save_strategy": "no", "logging_strategy": "steps"}
STEPS |= {"load_best_model_at_end": False, "eval_steps": 4, "logging_steps": 2}


class Terminal(io.StringIO):
    """What is written to a terminal of 100 columns, from both streams."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """The lines that a person sees at the end."""
        lines: list[list[str]] = [[]]
        for line in self.getvalue().split("\n"):
            shown: list[str] = []
            for part in line.split("\r"):
                shown[: len(part)] = part
            lines.append(shown)
        return [text for line in lines if (text := "".join(line).rstrip())]


@contextmanager
def in_terminal() -> Iterator[Terminal]:
    made = Terminal()
    with redirect_stdout(made), redirect_stderr(made):
        yield made


class Speaker(TrainerCallback):
    """Warns in the middle of the steps, as a library does."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        logging.getLogger("somebody").warning("said at step %d", state.global_step)


def test_headings_and_cells() -> None:
    assert [words(name) for name in ("loss", "loss_class_aware", "eval_loss", "eval_mAP")] == [
        ["loss"],
        ["class", "aware"],
        ["eval", "loss"],
        ["mAP"],
    ]
    row = {"epoch": 0.5, "step": 1200, "loss": 9.87654, "eval_loss": 123.456, "eval_mAP": 0.54321}
    assert [cell(name, row) for name in (*row, "eval_CF1")] == ["0.5", "1200", "9.8765", "123.46", "54.32", "-"]


def test_a_log_holds_the_table_and_no_dict(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    told = start("supervised", make_folder(tmp_path / "data"), tmp_path / "run", "--num_train_epochs", "2")
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "run"
    assert lines[1].split() == ["eval"]
    assert lines[2].split() == ["epoch", "step", "loss", "bce", "loss", "mAP", "CF1", "OF1"]
    assert 0 < told["student"]["hours"] < 1
    assert told["student"]["hardware"]
    log = told["student"]["log"]
    losses, scores = ([line for line in log if name in line] for name in ("loss", "eval_mAP"))
    assert len(lines) == 3 + len(scores) == 5
    for text, loss, score in zip(lines[3:], losses, scores):
        percent = [f"{100 * score[f'eval_{name}']:.2f}" for name in ("mAP", "CF1", "OF1")]
        expected = [f"{value:.4f}" for value in (loss["loss"], loss["loss_bce"], score["eval_loss"])]
        assert text.split() == [f"{loss['epoch']:.0f}", str(loss["step"]), *expected, *percent]
    assert not re.search(r"\{'|it/s|step/s", out + err)


def test_one_line_below_the_table_and_the_log(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, disable_tqdm=False, **STEPS)
    trainer.add_callback(Speaker())
    before = [logging.getLogger().handlers, logging.getLogger("transformers").handlers]
    with in_terminal() as terminal, shown(trainer, "student"):
        trainer.train()
    seen = terminal.screen()
    assert [line for line in seen if "said at" in line] == [f"said at step {step}" for step in range(1, 7)]
    assert [line.split()[:2] for line in seen if re.match(r" +\d", line)] == [
        ["0.67", "2"],
        ["1.33", "4"],
        ["2", "6"],
    ]
    assert [line for line in seen if line.startswith("student:")] == [seen[-1]]
    assert "6/6" in seen[-1]
    assert "epoch 2/2" in seen[-1]
    assert "evaluation 1/1" in terminal.getvalue()
    assert [logging.getLogger().handlers, logging.getLogger("transformers").handlers] == before


def test_a_row_waits_for_its_evaluation(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, **STEPS)
    with in_terminal() as terminal, shown(trainer, "student"):
        trainer.train()
    rows = [line.split() for line in terminal.screen() if re.match(r" +\d", line)]
    assert [row[4:].count("-") for row in rows] == [4, 0, 0]  # the last step is always evaluated
    assert "step/s" not in terminal.getvalue(), "disable_tqdm leaves the line out"


def test_a_run_that_breaks_gives_the_terminal_back(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, disable_tqdm=False)
    before = logging.getLogger().handlers

    def broken(*args: Any, **kwargs: Any) -> None:
        raise ValueError("a picture is broken")

    trainer.training_step = broken
    raises = pytest.raises(ValueError, match="a picture is broken")
    with in_terminal() as terminal, raises, shown(trainer, "student"):
        trainer.train()
    assert logging.getLogger().handlers == before
    assert terminal.getvalue().endswith("\n"), "the message of the error begins on a line of its own"


def test_python_users_keep_what_transformers_shows(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    make_trainer(tmp_path, **STEPS).train()
    assert "{'eval_loss': " in capsys.readouterr().out


def test_without_evaluations_there_are_no_columns_of_them(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    trainer = make_trainer(tmp_path, **STEPS | {"eval_strategy": "no"})
    with shown(trainer, "student"):
        trainer.train()
    out = capsys.readouterr().out
    assert out.splitlines()[1].split() == ["epoch", "step", "loss", "bce"]
    log = [line for line in trainer.state.log_history if "loss" in line]
    assert [line.split()[1] for line in out.splitlines()[2:]] == [str(line["step"]) for line in log]


@pytest.mark.parametrize("people", [True, False])
def test_bars_are_for_people(people: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["HF_DATASETS_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_PROGRESS_BARS"]
    for name in names:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    with redirect_stdout(io.StringIO()), redirect_stderr(Terminal() if people else io.StringIO()):
        run_verb("env", [])
    assert [os.environ.get(name) for name in names] == [None if people else "1"] * 2
