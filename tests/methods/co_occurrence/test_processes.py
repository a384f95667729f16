"""Two processes with a part of the batch each do what one process does with the whole of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlic_hf.methods.co_occurrence import CoOccurrenceLossConfig, co_occurrence_objectives
from tests.methods.mulcon.halves import compare
from tests.methods.mulcon.models import random_batch, tiny
from tests.methods.together import Together


def build() -> Together:
    student = tiny("CoOccurrence", num_heads=4, feed_forward_size=32, dropout=0.0, graph_steps=2)
    # The loss is a thousand times a mean; a scale of 1 keeps plain SGD steps of a common size.
    return Together(student, co_occurrence_objectives(CoOccurrenceLossConfig(scale=1.0), student))


@pytest.mark.parametrize("first", [2, 1], ids=["halves", "uneven"])
def test_two_processes_equal_one(first: int, tmp_path: Path) -> None:
    batches = [random_batch(4, seed, two_views=False) for seed in range(3)]
    trace = compare(build, batches, first, tmp_path)
    assert trace["gradients"]["student.head.graph.update_message.weight"].abs().sum() > 0
