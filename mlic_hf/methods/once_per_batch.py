"""A result that several objectives share, computed once for a batch."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

from mlic_hf.methods.base import MethodBatch

T = TypeVar("T")


class OncePerBatch(Generic[T]):
    """A function of a batch: whoever asks first computes, the others are given the same object.

    The result is forgotten with its batch, so that no graph outlives its step.

    Args:
        compute: the function.
    """

    def __init__(self, compute: Callable[[MethodBatch], T]) -> None:
        self.compute = compute
        self._found: tuple[weakref.ref[MethodBatch], T] | None = None

    def __call__(self, batch: MethodBatch) -> T:
        """The result for a batch."""
        if self._found is None or self._found[0]() is not batch:
            self._found = (weakref.ref(batch, self._forget), self.compute(batch))
        return self._found[1]

    def _forget(self, gone: weakref.ref[MethodBatch]) -> None:
        if self._found is not None and self._found[0] is gone:
            self._found = None
