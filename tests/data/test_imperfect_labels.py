"""Lists made incomplete on purpose: stateless, nothing else touched, the shares that were asked for."""

from __future__ import annotations

import pytest
import torch

from mlic_hf.data import drop_positives, keep_one_positive, mark_unlisted

LABELS = torch.tensor([1.0, 0, -1, 1, 1, 0])


def test_one_positive_is_kept_and_it_is_drawn_evenly() -> None:
    counts = torch.zeros(6)
    for image in range(600):
        kept = keep_one_positive(LABELS, f"im{image}", seed=1)
        assert (kept > 0).sum() == 1
        assert torch.equal(kept < 0, LABELS < 0)
        counts += kept > 0
    assert counts[[1, 2, 5]].sum() == 0
    assert (counts[[0, 3, 4]] - 200).abs().max() < 45
    assert torch.equal(keep_one_positive(LABELS, "im7", 1), keep_one_positive(LABELS, "im7", 1))
    for few in (torch.zeros(4), torch.tensor([0.0, 1, -1])):
        assert keep_one_positive(few, "a") is few


def test_positives_are_forgotten_by_share_and_a_larger_share_forgets_more() -> None:
    labels = torch.ones(1000)
    labels[::3] = 0
    some, more = (drop_positives(labels, share, "a", seed=2) for share in (0.3, 0.6))
    left = (some > 0).sum() / (labels > 0).sum()
    assert abs(left - 0.7) < 0.05
    assert ((more > 0) <= (some > 0)).all()
    assert torch.equal(drop_positives(labels, 0.3, "a", seed=2), some)
    assert not torch.equal(drop_positives(labels, 0.3, "b", seed=2), some)
    assert not torch.equal(drop_positives(labels, 0.3, "a", seed=3), some)
    assert torch.equal(drop_positives(LABELS, 0.0, "a"), LABELS)
    assert torch.equal(drop_positives(LABELS, 1.0, "a"), LABELS.masked_fill(LABELS > 0, 0))
    with pytest.raises(ValueError, match=r"share is 1\.5"):
        drop_positives(LABELS, 1.5, "a")


def test_what_is_not_listed() -> None:
    assert mark_unlisted(LABELS) is LABELS
    assert mark_unlisted(LABELS, "unknown").tolist() == [1, -1, -1, 1, 1, -1]
    with pytest.raises(ValueError, match="unlisted is 'positive', but must be one of negative, unknown"):
        mark_unlisted(LABELS, "positive")
