"""Find the golden cases of a prefix and read them; used by every test in this folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(os.environ.get("MLIC_GOLDEN_DIR", ROOT.parent / "shared" / "golden"))


def params(*prefixes: str) -> list[Any]:
    """One pytest parameter per case whose name starts with a prefix; one skipped parameter when there is no folder."""
    names = sorted(p.stem for p in GOLDEN.glob("*.safetensors") if p.stem.startswith(prefixes))
    if names:
        return [pytest.param(name, id=name) for name in names]
    # a folder without a case of these prefixes is a mistake: there the test runs, and fails to read it
    absent = pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"there is no folder {GOLDEN} (set MLIC_GOLDEN_DIR)")
    return [pytest.param("absent", marks=absent, id="absent")]


def load(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tensors and the parameters of a case."""
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    return tensors, json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
