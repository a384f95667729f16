"""Mixup: convex, stateless, and what is unknown stays unknown."""

from __future__ import annotations

import pytest
import torch

from mlic_hf.data import mixup

PIXELS = torch.eye(4).view(4, 1, 2, 2)
LABELS = torch.tensor([[1, 0, -1], [0, 1, 1], [0, 0, 0], [1, 1, 1]])


def test_pixels_and_labels_are_mixed_by_the_same_shares() -> None:
    pixels, labels = mixup(PIXELS, LABELS, 0.4, 7, 0, 0)
    shares = pixels.flatten(1)  # image i of the batch was 1 at place i, so the mixture shows its shares
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(4))
    assert (shares.diagonal() >= 0.5).all()
    known = LABELS.clamp(min=0).float()
    expected = shares @ known
    unknown = (shares @ (LABELS < 0).float()) > 0
    torch.testing.assert_close(labels, expected.masked_fill(unknown, -1.0))
    assert unknown.any()
    assert ((labels > 0) & (labels < 1)).any()


def test_the_draw_is_a_function_of_its_key() -> None:
    first, again, other = (mixup(PIXELS, LABELS, 0.4, *key)[0] for key in ((7, 0, 0), (7, 0, 0), (7, 0, 1)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_nothing_to_mix() -> None:
    pixels, labels = mixup(PIXELS, LABELS, 0.0, 1)
    assert pixels is PIXELS
    assert torch.equal(labels, LABELS.float())
    assert torch.equal(mixup(PIXELS[:1], LABELS[:1], 1.0, 1)[0], PIXELS[:1])


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="alpha is -1"):
        mixup(PIXELS, LABELS, -1, 1)
    with pytest.raises(ValueError, match="4 images but 3 rows"):
        mixup(PIXELS, LABELS[:3], 1.0, 1)
