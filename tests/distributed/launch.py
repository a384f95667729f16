"""Fresh processes for a function: one or several as a launcher would start them, quickly.

They are forked from a server that has imported the library and nothing else. A process forked from the test's own,
as `accelerate.debug_launcher` does, hangs in its first collective once the test's process has trained a model.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(["tests.training.tiny", "tests.distributed.every_method", "transformers.trainer"])


def start(function: Callable[..., None], args: Sequence[Any], environment: dict[str, str] | None = None) -> Any:
    """Start one process; its handle."""
    process = FRESH.Process(target=_enter, args=(function, tuple(args), environment or {}), daemon=True)
    process.start()
    return process


def launch(function: Callable[..., None], args: Sequence[Any], processes: int = 2, limit: float = 300.0) -> None:
    """Run a function in several processes of one group and wait for them.

    Raises:
        AssertionError: if one fails or they take longer than the limit in seconds.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
    group |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes), "ACCELERATE_USE_CPU": "true"}
    running = [
        start(function, args, group | {"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {})
        for rank in range(processes)
    ]
    end = time.monotonic() + limit
    while any(process.exitcode is None for process in running) and time.monotonic() < end:
        if any(process.exitcode for process in running):
            break
        time.sleep(0.05)
    codes = [process.exitcode for process in running]
    for process in running:
        if process.exitcode is None:
            process.kill()
        process.join()
    assert codes == [0] * processes, f"the processes of {function.__name__} ended with {codes}; None is: too long"


def _enter(function: Callable[..., None], args: tuple[Any, ...], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    function(*args)
