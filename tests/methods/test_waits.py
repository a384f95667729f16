"""No method waits for the device more than once a step: forward, backward and what follows the optimizer."""

from __future__ import annotations

import pytest

from tests.distributed.every_method import BUILD
from tests.methods.tiny import tiny_batch
from tests.waits import Waits

# OASS lists the (image, label) pairs that are cut and, with the key points of the paper, the local maxima of their
# maps: the second list needs the first and the forward pass, so the two waits cannot be one
TWICE = {"oass", "oass_online"}


@pytest.mark.parametrize("key", BUILD)
def test_at_most_one_wait_a_step(key: str) -> None:
    method = BUILD[key]().train()
    pixels, labels = tiny_batch()
    views = {"second_view": pixels} if method.views > 1 else {}
    with Waits() as waits:
        method(pixels, labels, **views)["loss"].backward()
        method.after_step()
    assert waits.total <= (2 if key in TWICE else 1), waits.seen
