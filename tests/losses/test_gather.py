"""Gathering over two real processes: values in rank order, gradients summed over processes."""

from __future__ import annotations

import torch
import torch.distributed as dist
from accelerate import PartialState

from mlic_hf import losses
from tests.distributed.launch import launch


def two_processes() -> None:
    PartialState(cpu=True)
    assert dist.get_world_size() == 2
    rank = dist.get_rank()
    whole = torch.arange(12, dtype=torch.float64).view(4, 3)
    mine = whole[2 * rank : 2 * rank + 2].clone().requires_grad_()
    gathered = losses.gather_with_gradient(mine)
    assert torch.equal(gathered, whole)
    # each process weighs the rows differently; a row's gradient is what both send back to it
    ((rank + 1) * (gathered**2).sum()).backward()
    assert torch.equal(mine.grad, 3 * 2 * whole[2 * rank : 2 * rank + 2])

    sizes = [1, 3]
    part = whole.split(sizes)[rank].clone().requires_grad_()
    gathered = losses.gather_rows(part)
    assert torch.equal(gathered, whole)
    ((rank + 1) * (gathered**3).sum()).backward()
    torch.testing.assert_close(part.grad, 3 * 3 * whole.split(sizes)[rank] ** 2)
    empty = whole[:0] if rank == 0 else whole
    assert torch.equal(losses.gather_rows(empty.clone().requires_grad_()), whole)


def image_coupled_loss() -> None:
    PartialState(cpu=True)
    assert dist.get_world_size() == 2
    rank = dist.get_rank()
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 6, 4, 5, generator=generator, dtype=torch.float64)
    targets = (torch.rand(6, 4, generator=generator) < 0.6).double()
    whole = student.clone().requires_grad_()
    expected = losses.class_aware_distillation(whole, teacher, targets)
    expected.backward()
    own = slice(0, 2) if rank == 0 else slice(2, 6)
    mine = student[own].clone().requires_grad_()
    loss = losses.class_aware_distillation(mine, teacher[own], targets[own], gather=True)
    loss.backward()
    torch.testing.assert_close(loss, expected)
    # both processes computed the same loss: averaged over processes it is the gradient of the whole batch
    torch.testing.assert_close(mine.grad / 2, whole.grad[own])
    both, instance_aware = losses.label_embedding_distillation(mine, teacher[own], targets[own], gather=True)
    torch.testing.assert_close(both, expected)
    alone = losses.instance_aware_distillation(mine, teacher[own], targets[own])
    torch.testing.assert_close(instance_aware, alone)
    unlabelled = losses.class_aware_distillation(mine, teacher[own], torch.zeros_like(targets[own]), gather=True)
    unlabelled.backward()
    assert unlabelled == 0


def test_two_processes() -> None:
    launch(two_processes, ())


def test_an_image_coupled_loss_of_two_processes_is_that_of_the_whole_batch() -> None:
    launch(image_coupled_loss, ())


def test_one_process_is_the_identity() -> None:
    rows = torch.randn(3, 2)
    assert losses.gather_with_gradient(rows) is rows
    assert losses.gather_rows(rows) is rows
