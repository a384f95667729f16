"""500 labels and 32 images: memory of a step, and work that does not go image by image."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mlic_hf import losses
from tests.golden.cases import ROOT
from tests.methods.co_occurrence.large_step import step


def measured(*arguments: str | int) -> float:
    """Peak resident memory in GB of one step in a process of its own."""
    command = [sys.executable, "-m", "tests.methods.co_occurrence.large_step", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    peak, seconds = done.stdout.split()
    print(f"{arguments}: {peak} GB, {seconds} s")
    return float(peak)


class Counter(TorchDispatchMode):
    """Counts the operations that torch runs."""

    calls = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.calls += 1
        return function(*args, **(kwargs or {}))


def count_operations(images: int) -> int:
    generator = torch.Generator().manual_seed(images)
    targets = (torch.rand(images, 40, generator=generator) < 0.2).float()
    embeddings = torch.randn(images, 40, 4, generator=generator)
    edges = torch.rand(images, 40, 40, generator=generator)
    with Counter() as counter:
        inside, outside = losses.true_label_edges(edges, targets)
        losses.co_occurrence_contrast(embeddings, inside @ embeddings, outside @ embeddings, targets)
    return counter.calls


def seeded_step(**settings) -> float:
    torch.manual_seed(0)
    return step("test_resnet", 64, **settings)


def test_more_images_do_not_mean_more_operations() -> None:
    assert count_operations(256) - count_operations(16) < 100


def test_a_narrow_step_with_500_labels_runs() -> None:
    plain, checkpointed = (seeded_step(images=4, labels=500, checkpointing=choice) for choice in (False, True))
    assert plain > 0
    assert checkpointed == pytest.approx(plain, rel=1e-5)


@pytest.mark.slow
def test_a_step_stays_under_8_gb() -> None:
    assert measured("resnet18", 224, 32, 500) < 8.0


@pytest.mark.slow
def test_with_checkpointing_a_step_at_the_width_of_the_paper_stays_under_8_gb() -> None:
    assert measured("resnet101", 224, 32, 500, "checkpointing") < 8.0
