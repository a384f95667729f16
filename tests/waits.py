"""Counts the operations for which a GPU would have to be waited for, on a machine without one.

A result whose size depends on values (nonzero, a boolean index, unique), a number that Python reads (item, bool, a
list) and a copy to the host all stop the host until everything queued before them is done.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = {
    "_local_scalar_dense",
    "_unique",
    "_unique2",
    "bincount",
    "equal",
    "histc",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "unique_consecutive",
    "unique_dim",
}
HOST_COPIES = {"cpu", "tolist"}


class _Operations(TorchDispatchMode):
    def __init__(self, seen: Counter[str]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in WAITING:
            self.seen[name] += 1
        if name == "repeat_interleave" and (kwargs or {}).get("output_size") is None:
            self.seen[name] += 1
        if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            indices = [index for index in args[1] if index is not None]
            self.seen["boolean index"] += any(index.dtype in (torch.bool, torch.uint8) for index in indices)
        return func(*args, **(kwargs or {}))


class _Copies(TorchFunctionMode):
    def __init__(self, seen: Counter[str]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in HOST_COPIES and args and isinstance(args[0], Tensor):
            self.seen[name] += 1
        return func(*args, **(kwargs or {}))


class Waits:
    """`with Waits() as waits: ...`, then `waits.total` and, by operation, `waits.seen`."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self._modes = (_Copies(self.seen), _Operations(self.seen))

    def __enter__(self) -> Waits:
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)

    @property
    def total(self) -> int:
        return self.seen.total()
