"""Train a method on cut batches in two processes and on whole ones in this process, step for step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from accelerate import PartialState
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tests.distributed.launch import launch
from tests.methods.together import Together

Trace = dict[str, list[float] | dict[str, Tensor]]


def set_for_exactness(method: Together) -> None:
    """Training mode, but batch norm keeps its statistics."""
    method.train()
    for module in method.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def _cut(batch: dict[str, Tensor], first: int, rank: int, world: int) -> dict[str, Tensor]:
    if world == 1:
        return batch
    return {key: value[:first] if rank == 0 else value[first:] for key, value in batch.items()}


def train(build: Callable[[], Together], batches: list[dict[str, Tensor]], first: int, rate: float) -> Trace:
    """Plain SGD; the losses of the global batches, the last gradients and parameters."""
    world = dist.get_world_size() if dist.is_initialized() else 1
    rank = dist.get_rank() if world > 1 else 0
    method = build()
    set_for_exactness(method)
    wrapped = DistributedDataParallel(method) if world > 1 else method
    optimizer = torch.optim.SGD(method.parameters(), lr=rate)
    losses = []
    for batch in batches:
        own = _cut(batch, first, rank, world)
        totals = method.counts(own["labels"])
        if world > 1:
            dist.all_reduce(totals)
        optimizer.zero_grad()
        loss = wrapped(**own, totals=totals)["loss"]
        loss.backward()
        optimizer.step()
        shown = loss.detach().clone()
        if world > 1:
            dist.all_reduce(shown)
        losses.append(float(shown) / world)
    gradients = {name: p.grad for name, p in method.named_parameters() if p.grad is not None}
    return {"losses": losses, "gradients": gradients, "parameters": method.state_dict()}


def _in_process(
    build: Callable[[], Together], batches: list[dict[str, Tensor]], first: int, rate: float, folder: str
) -> None:
    torch.set_num_threads(1)
    PartialState(cpu=True)
    assert dist.get_world_size() == 2
    assert dist.get_backend() == "gloo"
    torch.save(train(build, batches, first, rate), Path(folder) / f"{dist.get_rank()}.pt")


def compare(
    build: Callable[[], Together],
    batches: list[dict[str, Tensor]],
    first: int,
    folder: Path,
    rate: float = 0.05,
) -> Trace:
    """Two processes, the first with `first` images of each batch, must do what one process does; its trace.

    Losses, gradients and parameters agree to 1e-5 of the largest magnitude of each.
    """
    launch(_in_process, (build, batches, first, rate, str(folder)))
    whole = train(build, batches, first, rate)
    for rank in range(2):
        found = torch.load(folder / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found["losses"], whole["losses"], rtol=1e-5, atol=1e-5)
        for field in ("gradients", "parameters"):
            assert found[field].keys() == whole[field].keys()
            for name, value in whole[field].items():
                largest = max(float(value.abs().max()), 1.0)
                difference = (found[field][name] - value).abs().max().item()
                assert difference <= 1e-5 * largest, f"{field} of {name} differ by {difference} of {largest}"
    return whole
