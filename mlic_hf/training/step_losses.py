"""The parts of the loss since the last line of the log, kept on the device until they are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class StepLosses:
    """Sums over micro-batches and steps; only steps that were taken count.

    Attributes:
        step: the sums of the step that is under way, by name; "" is the whole loss.
        images: the ids of its images.
        skipped: the steps whose gradient was not finite.
    """

    def __init__(self) -> None:
        self.step: dict[str, Tensor] = {}
        self.images: list[str] = []
        self.skipped = 0
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def begin(self, images: Sequence[str]) -> None:
        """A step begins with these images."""
        self.step, self.images = {}, list(images)

    def add(self, parts: Mapping[str, Tensor]) -> None:
        """A micro-batch's share of the step."""
        _add(self.step, parts)

    def take(self) -> None:
        """The step was taken."""
        _add(self._sums, self.step)
        self._steps += 1

    def told(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """The mean of every part over the steps since last time, `reduce`d over processes; then they begin anew."""
        if not self._steps:
            return {}
        means = reduce(torch.stack([part.float() for part in self._sums.values()])) / self._steps
        names, self._sums, self._steps = list(self._sums), {}, 0
        return dict(zip(names, means.tolist()))

    def state(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        """What a resumed run needs, ready for JSON."""
        sums = {name: reduce(part.float()).item() for name, part in self._sums.items()}
        return {"sums": sums, "steps": self._steps, "skipped_steps": self.skipped}

    def load(self, state: Mapping[str, Any], device: Any) -> None:
        """Take up what `state` gave."""
        self._sums = {name: torch.tensor(value, device=device) for name, value in state["sums"].items()}
        self._steps, self.skipped = state["steps"], state["skipped_steps"]


def _add(sums: dict[str, Tensor], parts: Mapping[str, Tensor]) -> None:
    for name, part in parts.items():
        sums[name] = sums[name] + part if name in sums else part
