"""timm is missing, or there but broken: the sentence says which."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from mlic_hf.modeling import LinearForImageClassification
try:
    LinearForImageClassification.from_timm("resnet10t", ["a"], pretrained=False)
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (None, "which is not installed: pip install"),
        ("from torch import no_such_name", "installed but does not import (ImportError: cannot import name"),
        ("import no_such_module", "does not import (ModuleNotFoundError: No module named 'no_such_module')"),
        ("raise RuntimeError('operator torchvision::nms does not exist')", "does not import (RuntimeError: operator"),
    ],
    ids=["missing", "another version", "half installed", "broken below"],
)
def test_the_sentence_says_what_is_wrong(code: str | None, expected: str, tmp_path: Path) -> None:
    script = SCRIPT
    if code is None:
        script = "import importlib.abc, sys\n" + MISSING + SCRIPT
    else:
        (tmp_path / "timm").mkdir()
        (tmp_path / "timm" / "__init__.py").write_text(code)
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    assert expected in run.stdout, run.stderr[-2000:]


MISSING = """
class NoTimm(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "timm" or name.startswith("timm."):
            raise ModuleNotFoundError("No module named 'timm'", name="timm")

sys.meta_path.insert(0, NoTimm())
"""
