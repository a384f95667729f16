"""The Python of docs/datasets.md runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.data.pictures import picture

DOCS = Path(__file__).resolve().parents[2] / "docs" / "datasets.md"


def test_data_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    found = re.search(r"## Data in Python.*?```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    (tmp_path / "corel").mkdir()
    for name in ("1000.jpeg", "1003.jpeg"):
        picture().save(tmp_path / "corel" / name)
    monkeypatch.chdir(tmp_path)
    exec(found[1], {})
    expected = [line.split("  # ")[1] for line in found[1].splitlines() if line.startswith("print")]
    assert capsys.readouterr().out.splitlines() == expected
