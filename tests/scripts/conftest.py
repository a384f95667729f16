"""One folder of pictures and one distilled student, made once for the tests of the scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.scripts.folder import DECODER, make_folder, start


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def distilled(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    output = tmp_path_factory.mktemp("runs") / "l2d"
    return output, start("l2d", folder, output, *DECODER, "--student_alone", "true")
