"""The notebooks run, are shown with what they drew, and tell nothing of the machine they ran on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "notebooks"
NAMES = ["first_tagger", "distillation_step_by_step", "a_new_objective"]
notebooks = pytest.mark.parametrize("name", NAMES)


def read(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))


def test_the_site_shows_each_of_them() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)
    nav = yaml.safe_dump(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert [name for name in NAMES if f"notebooks/{name}.md" not in nav] == []


@notebooks
def test_it_was_run_from_top_to_bottom_without_an_error(name: str) -> None:
    cells = [cell for cell in read(name)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert kinds <= {"stream", "display_data", "execute_result"}
    told = [output for cell in cells for output in cell["outputs"] if output.get("name") == "stderr"]
    assert told == []


@notebooks
def test_it_shows_pictures_and_stays_small(name: str) -> None:
    drawn = [o for cell in read(name)["cells"] for o in cell.get("outputs", []) if "image/jpeg" in o.get("data", {})]
    assert len(drawn) >= 2
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 400_000


@notebooks
def test_it_names_no_place_of_a_machine(name: str) -> None:
    text = re.sub(r'"image/jpeg": "[^"]*"', "", (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert re.findall(r"[^\s\"]*/(?:root|home|tmp|work|Users)/[^\s\"]*", text) == []


@notebooks
def test_its_links_lead_somewhere(name: str) -> None:
    cells = [cell for cell in read(name)["cells"] if cell["cell_type"] == "markdown"]
    links = re.findall(r"\]\(([^)\s#]+)", "".join("".join(cell["source"]) for cell in cells))
    assert links
    assert [link for link in links if not re.match(r"[a-z]+:", link) and not (FOLDER / link).exists()] == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@notebooks
def test_it_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    before = [shown(cell) for cell in notebook.cells]
    nbclient.NotebookClient(notebook, timeout=1500, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert [shown(cell) for cell in notebook.cells] == before


def shown(cell: Any) -> tuple[int, bool]:
    """How many pictures a cell drew, and whether it printed; numbers and what libraries say aside may differ."""
    given = cell.get("outputs", [])
    drawn = sum("image/jpeg" in output.get("data", {}) for output in given)
    return drawn, any(output.get("name") == "stdout" for output in given)
