"""Where the real photographs and label lists lie, for the tests and measurements that use them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REALDATA = Path(
    os.environ.get("MLIC_REALDATA_DIR", Path(__file__).resolve().parents[1].parent / "shared" / "realdata")
)
needs_realdata = pytest.mark.skipif(
    not REALDATA.is_dir(), reason=f"no real data in {REALDATA} (set MLIC_REALDATA_DIR)"
)
