"""Two processes with a part of the batch each do what one process does with the whole of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlic_hf.methods.mulcon import MulConLossConfig, mulcon_objectives
from tests.methods.mulcon.halves import compare
from tests.methods.mulcon.models import random_batch, tiny
from tests.methods.together import Together


def build(denominator_size: int = 0) -> Together:
    student = tiny("MulCon", width=32)
    return Together(student, mulcon_objectives(MulConLossConfig(denominator_size=denominator_size), student))


def build_with_negatives() -> Together:
    return build(denominator_size=60)


@pytest.mark.parametrize(
    "make, first", [(build, 2), (build_with_negatives, 2), (build, 1)], ids=["halves", "negatives", "uneven"]
)
def test_two_processes_equal_one(make: object, first: int, tmp_path: Path) -> None:
    batches = [random_batch(4, seed) for seed in range(3)]
    trace = compare(make, batches, first, tmp_path)
    assert trace["losses"][0] > 0
    assert trace["gradients"]["student.head.projector.hidden.weight"].abs().sum() > 0


def build_without_gather() -> Together:
    student = tiny("MulCon", width=32)
    return Together(student, mulcon_objectives(MulConLossConfig(gather=False), student))


def test_without_gather_each_process_has_a_contrast_of_its_own(tmp_path: Path) -> None:
    """The comparison above can fail: it does where pairs of other processes are left out."""
    with pytest.raises(AssertionError, match=r"not close"):
        compare(build_without_gather, [random_batch(4)], 2, tmp_path)
