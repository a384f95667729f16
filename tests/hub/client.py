"""A Hub client inside the test's own process that talks to the loopback server, although tests run offline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from huggingface_hub import HfApi, constants

from tests.hub.loopback import LoopbackHub, loopback_hub


@contextmanager
def connected_hub() -> Iterator[tuple[LoopbackHub, HfApi]]:
    """The server and a client for it."""
    with loopback_hub() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        yield server, HfApi(endpoint=server.url, token="hf_loopback")
