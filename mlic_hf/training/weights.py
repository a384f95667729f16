"""The two weights of a student, plain and averaged: which of them the model has, how both scored, where they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from mlic_hf.training import checkpoint
from mlic_hf.training.average import MovingAverage
from mlic_hf.training.measures import is_better

PLAIN, AVERAGED = "plain", "ema"


class Weights:
    """What a student is measured and saved with. Without an average there are the plain weights alone.

    Attributes:
        average: of the run that is trained; it keeps the weights that the model does not have.
        holds: which ones the model has, "plain" or "ema".
        scores: of both by what decides, as long as they are those that were measured.
    """

    def __init__(self, args: Any) -> None:
        self.args = args
        self.average: MovingAverage | None = None
        self.holds = PLAIN
        self.scores: dict[str, float] = {}

    def begin(self, model: nn.Module) -> None:
        """A run begins with this model."""
        self.holds, self.scores = PLAIN, {}
        if self.args.ema_decay is not None:
            self.average = MovingAverage(model, self.args.ema_decay, self.args.ema_warmup)

    def follow(self, step: int) -> None:
        """The average moves with the model after a step; what was measured is of other weights now."""
        self.scores = {}
        if self.average is not None:
            self.average.update(step)

    def hold(self, kind: str) -> None:
        """Let the model have its "plain" or its "ema" weights; the average keeps the others."""
        if kind != self.holds and self.average is not None:
            self.average.swap()
            self.holds = kind

    @property
    def better(self) -> str:
        """Which ones scored better; those that the model has where nothing was measured."""
        if len(self.scores) < 2:
            return self.holds
        return AVERAGED if is_better(self.scores[AVERAGED], self.scores[PLAIN], self.args) else PLAIN

    def judge(self, told: Mapping[str, Mapping[str, float]], prefix: str) -> dict[str, float]:
        """The metrics of the better ones, and what decides of both.

        Args:
            told: the metrics of "plain" and "ema" weights on one set.
            prefix: of the set: "eval", or "eval_<name>" where there are several.
        """
        wanted = (self.args.metric_for_best_model or "mAP").removeprefix("eval_")
        own = prefix.removeprefix("eval").lstrip("_")
        name = wanted.removeprefix(f"{own}_") if own else wanted
        name = name if name in told[PLAIN] else "loss"
        scores = {kind: metrics[name] for kind, metrics in told.items()}
        if not self.scores or not own or wanted.startswith(f"{own}_"):  # this set decides
            self.scores = scores
        best = AVERAGED if is_better(scores[AVERAGED], scores[PLAIN], self.args) else PLAIN
        return {**told[best], **{f"{kind}_{name}": score for kind, score in scores.items()}}

    def save(self, folder: Path, write: Callable[[Path], None]) -> None:
        """The better ones at the root of a folder, the others beside them, and what says which is which."""
        held, better = self.holds, self.better
        kinds = [held] if self.average is None else [PLAIN, AVERAGED]
        for kind in kinds:
            self.hold(kind)
            write(folder if kind == better else folder / kind)
        self.hold(held)
        checkpoint.write_weights(folder, better, {kind: self.scores.get(kind) for kind in kinds})

    def take_up(self, model: nn.Module, folder: Path) -> None:
        """Both weights of a folder and their scores; which of them the model had does not matter."""
        self.holds = PLAIN
        checkpoint.load_weights(model, checkpoint.place_of(folder, PLAIN))
        self.load_average(model, folder)
        told = checkpoint.read_weights(folder)
        self.scores = {kind: score for kind, score in told["scores"].items() if score is not None}

    def load_average(self, model: nn.Module, folder: Path) -> None:
        """The averaged weights of a folder into the average, where this run keeps one."""
        if self.average is not None:
            with self.average.in_place():
                checkpoint.load_weights(model, checkpoint.place_of(folder, AVERAGED))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The model with its averaged weights, for a while."""
        if self.average is None:
            raise ValueError("This run keeps no average of the weights (ema_decay).")
        with self.average.in_place():
            yield
