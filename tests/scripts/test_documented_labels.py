"""The commands and the Python of docs/imperfect_labels.md run as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from mlic_hf.cli import main
from tests.scripts.folder import make_folder

DOCS = Path(__file__).resolve().parents[2] / "docs" / "imperfect_labels.md"
RECIPE = """
dataset: photos
test_split: null
backbone: test_resnet
pretrained: "false"
image_size: 32
transform: eval
num_train_epochs: 1
per_device_train_batch_size: 8
dataloader_num_workers: 0
disable_tqdm: true
use_cpu: true
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


def test_the_shell_then_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    make_folder(tmp_path / "photos")
    (tmp_path / "photos.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    (shell,) = blocks("bash")
    commands = [shlex.split(line) for line in shell.replace("\\\n", " ").splitlines()]
    assert len(commands) >= 7
    for command in commands:
        assert command[0] == "mlic"
        main(command[1:])
    for name in ("missing", "unknown", "rare", "weighted", "corrected"):
        assert (tmp_path / "runs" / name / "model.safetensors").is_file()
    assert (tmp_path / "runs" / "audit" / "audit.html").is_file()
    capsys.readouterr()
    known: dict = {}
    for block in blocks("python"):
        exec(block, known)
    shown = [line.split("  # ")[1] for block in blocks("python") for line in block.splitlines() if "print(" in line]
    said = capsys.readouterr().out.splitlines()
    assert [line for line in shown if line not in said] == []
    assert (tmp_path / "runs" / "calibrated" / "config.json").is_file()
