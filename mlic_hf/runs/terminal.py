"""What a training shows in the terminal: one steady line a stage, and a table that grows by a row an evaluation."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK
from transformers.trainer_utils import has_length

EVALUATED = ("eval_loss", "eval_mAP", "eval_CF1", "eval_OF1")
NARROWEST = 6  # a number in [0, 1] with four decimals


@contextmanager
def shown(trainer: Trainer, stage: str) -> Iterator[None]:
    """Let a trainer tell of itself by a table and, in a terminal, by a line that stays below it and below the log.

    The table goes to the standard output, the line to the error stream. `disable_tqdm` leaves the line out.

    Args:
        trainer: whose own reports (dicts, and bars of each evaluation) make way.
        stage: the name of the line and of the table.
    """
    for theirs in (DEFAULT_PROGRESS_CALLBACK, PrinterCallback):
        trainer.remove_callback(theirs)
    report = StageReport(stage, line=not trainer.args.disable_tqdm)
    trainer.add_callback(report)
    speaking = [name for name in ("transformers", "accelerate", "mlic_hf") if logging.getLogger(name).handlers]
    with logging_redirect_tqdm([logging.getLogger(), *map(logging.getLogger, speaking)]):
        try:
            yield
        finally:
            report.close()


class StageReport(TrainerCallback):
    """The table and the line of one stage.

    Args:
        stage: its name.
        line: show the line where the error stream is a terminal.
    """

    def __init__(self, stage: str, line: bool = True) -> None:
        self.stage = stage
        self._hidden = None if line else True  # None: tqdm looks whether there is a terminal
        self._bar: tqdm | None = None
        self._epoch = ""
        self._evaluated = 0  # batches of the evaluation that is under way
        self._row: dict[str, float] = {}
        self._widths: dict[str, int] = {}

    def close(self) -> None:
        """Leave the line as it stands."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            done = {"initial": state.global_step, "total": state.max_steps}
            self._bar = tqdm(desc=self.stage, unit="step", dynamic_ncols=True, disable=self._hidden, **done)

    def on_epoch_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._epoch = f"epoch {int(state.epoch or 0) + 1}/{state.num_train_epochs}"
        self._say(self._epoch)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_prediction_step(
        self, args: Any, state: TrainerState, control: TrainerControl, eval_dataloader: Any = None, **kwargs: Any
    ) -> None:
        self._evaluated += 1
        of = f"/{len(eval_dataloader)}" if has_length(eval_dataloader) else ""
        self._say(f"evaluation {self._evaluated}{of}")

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._evaluated = 0
        self._say(self._epoch)

    on_predict = on_evaluate

    def on_log(
        self,
        args: Any,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        logs = logs or {}
        told = {name: logs[name] for name in logs if name in EVALUATED or name.startswith("loss")}
        if not told or not state.is_world_process_zero:
            return
        place = {"epoch": state.epoch or 0.0, "step": state.global_step}
        if any(self._row.get(name) != value for name, value in place.items()):
            self._row = dict(place)
        self._row |= told
        if "loss" in logs and control.should_evaluate:
            return  # the evaluation of this step completes the row
        if not self._widths:
            tested = () if args.eval_strategy == "no" else EVALUATED
            columns = [*place, *sorted(set(self._row) - {*place, *EVALUATED}), *tested]
            self._widths = {name: max(NARROWEST, *map(len, words(name))) for name in columns}
            self._write(self.stage, *self._head())
        self._write(" ".join(cell(name, self._row).rjust(width) for name, width in self._widths.items()))

    def _head(self) -> list[str]:
        """The names of the columns, a word a line, down to the numbers."""
        lines = max(len(words(name)) for name in self._widths)
        stacked = {name: [""] * (lines - len(words(name))) + words(name) for name in self._widths}
        rows = (" ".join(stacked[name][line].rjust(w) for name, w in self._widths.items()) for line in range(lines))
        return [row.rstrip() for row in rows]

    def _say(self, what: str) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(what)

    def _write(self, *lines: str) -> None:
        tqdm.write("\n".join(lines))
        sys.stdout.flush()


def words(name: str) -> list[str]:
    """The heading of a column: loss_class_aware as class, aware; eval_loss as eval, loss; eval_mAP as mAP."""
    told = name.removeprefix("eval_") if name in EVALUATED[1:] else name
    return told.removeprefix("loss_").split("_")


def cell(name: str, row: Mapping[str, float]) -> str:
    """A value as it is shown: scores in percent, losses with as many decimals as fit."""
    if name not in row:
        return "-"
    value = row[name]
    if name in ("epoch", "step"):
        return str(round(value, 2) if value % 1 else int(value))
    if name in EVALUATED[1:]:
        return f"{100 * value:.2f}"
    return f"{value:.{4 if abs(value) < 10 else 2}f}"
