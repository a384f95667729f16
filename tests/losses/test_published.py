"""Losses for missing and rare labels beside their authors' code, run once on these inputs; its numbers stand here."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from mlic_hf import losses

PLACES = torch.arange(30, dtype=torch.float64).reshape(6, 5)
LOGITS = 3 * torch.sin(1.7 * PLACES + 0.3)
TARGETS = (torch.cos(2.3 * PLACES + PLACES**2 / 7) > 0.45).double()
COUNTS = torch.tensor([3, 10, 20, 40, 55])  # of 60 images

#: the loss in its authors' reduction, and what their code says
PUBLISHED = {
    "hill": (losses.hill, 20.160002404435506),
    "ll_r": (partial(losses.large_loss_rejection, share=0.1), 0.9168700127264338),
    "ll_ct": (partial(losses.large_loss_correction, share=0.1), 0.9221023452525833),
    "em": (partial(losses.entropy_maximization, alpha=0.1), 0.40266104577258144),
    "wan": (losses.weak_negatives, 0.622618632993088),
    "epr": (partial(losses.expected_positives, expected=1.5), 0.4642113187833176),
    "db": (partial(losses.distribution_balanced, counts=COUNTS, num_images=60), 1.4701033386211952 / 2),
    "two_way": (losses.two_way, 11.608104300940177),
}
WITH_EPSILON = ("em", "wan", "epr")  # their code adds 1e-5 within each logarithm


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_the_authors_code_says_the_same(name: str) -> None:
    loss, published = PUBLISHED[name]
    rtol = 1e-4 if name in WITH_EPSILON else 1e-12
    torch.testing.assert_close(float(loss(LOGITS, TARGETS)), published, rtol=rtol, atol=0.0)


def test_self_paced_correction_has_negatives_without_focus() -> None:
    """The published code also weighs negatives by p^gamma, and so comes to 15.461708096951597."""
    p = LOGITS.sigmoid()
    negative = (TARGETS == 0) & (p <= 0.6)
    weighed = ((1 - p**2) * torch.nn.functional.softplus(LOGITS))[negative].sum()
    ours = losses.self_paced_correction(LOGITS, TARGETS)
    torch.testing.assert_close(float(ours - weighed), 15.461708096951597, rtol=1e-12, atol=0.0)
