"""`mlic env` tells what a report needs and nothing about whose machine it is."""

from __future__ import annotations

import platform
import socket
from pathlib import Path

import pytest
import torch

from mlic_hf.cli import main


def test_env_tells_versions_and_no_names(capsys: pytest.CaptureFixture) -> None:
    main(["env"])
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert torch.__version__.startswith(told["torch"])
    assert told["python"] == platform.python_version()
    assert {"mlic_hf", "transformers", "devices", "processors"} <= told.keys()
    text = " ".join(told.values())
    assert str(Path.home()) not in text
    assert socket.gethostname() not in text
