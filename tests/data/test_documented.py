"""The Python of docs/datasets.md runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.data.pictures import picture

DOCS = Path(__file__).resolve().parents[2] / "docs" / "datasets.md"


def test_data_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    section = DOCS.read_text(encoding="utf-8").partition("## Data in Python")[2].partition("\n## ")[0]
    code = "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))
    (tmp_path / "corel").mkdir()
    for name in ("1000.jpeg", "1003.jpeg"):
        picture().save(tmp_path / "corel" / name)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    expected = [line.split("  # ")[1] for line in code.splitlines() if line.startswith("print")]
    assert capsys.readouterr().out.splitlines() == expected
