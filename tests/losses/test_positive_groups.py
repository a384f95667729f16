"""Groups of positive pairs: complete, disjoint, in few blocks, and their gradients copied to the right rows."""

from __future__ import annotations

import pytest
import torch

from mlic_hf.losses.positive_groups import FREE_PAIRS_CPU, positive_cells, positive_groups, take_rows


@pytest.mark.parametrize("by", ["label", "image"])
@pytest.mark.parametrize("smallest", [1, 2, 3])
def test_every_large_enough_group_once(by: str, smallest: int) -> None:
    targets = (torch.rand(23, 31) < torch.rand(31)).float() - (torch.rand(23, 31) < 0.1).float()
    groups = positive_groups(positive_cells(targets), by, smallest)
    rows = groups.cells[:, None].double() + 1
    assert torch.equal((targets > 0).flatten().nonzero()[:, 0][groups.rows], groups.cells)
    found = []
    for block in groups.blocks:
        padded = block.pad(rows[block.start : block.stop])[:, :, 0]
        assert torch.equal(padded > 0, block.valid())
        assert block.groups * block.width**2 <= 2 * int((block.sizes**2).sum()) + FREE_PAIRS_CPU
        found += [sorted((row[row > 0] - 1).long().tolist()) for row in padded]
    table = targets.t() if by == "label" else targets
    numbers = torch.arange(23 * 31).view(23, 31)
    numbers = numbers.t() if by == "label" else numbers
    expected = [sorted(n[line > 0].tolist()) for line, n in zip(table, numbers) if (line > 0).sum() >= smallest]
    assert sorted(found) == sorted(expected)


def test_few_blocks_whatever_the_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlic_hf.losses.positive_groups.FREE_PAIRS_CPU", 0)
    targets = (torch.arange(64)[:, None] < torch.arange(65)).float()  # label l has l positives
    blocks = positive_groups(positive_cells(targets), "label").blocks
    assert sum(block.groups for block in blocks) == 63
    assert 3 <= len(blocks) <= 12
    assert all(block.groups * block.width**2 <= 2 * int((block.sizes**2).sum()) for block in blocks)


def test_gradient_of_taken_rows() -> None:
    table = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: take_rows(t, torch.tensor([4, 0, 5])), (table,))


def test_no_group() -> None:
    assert positive_groups(positive_cells(torch.eye(4)), "label").blocks == []
    with pytest.raises(ValueError, match='by is "row"'):
        positive_groups(positive_cells(torch.eye(4)), "row")
