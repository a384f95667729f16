"""The documentation holds together: links lead somewhere, the reference names what exists, no page is forgotten."""

from __future__ import annotations

import importlib.util
import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]
NAMES = [
    name
    for page in sorted((ROOT / "docs" / "reference").glob("*.md"))
    for name in re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
]


def headings(page: Path) -> set[str]:
    """The anchors of a page, as its host makes them of headings."""
    lines = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if (page.parent, file) == (ROOT / "docs", "CONTRIBUTING.md"):  # the site has it beside its pages
            target = ROOT / file
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_names_what_exists(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, last = name.rpartition(".")
        assert hasattr(importlib.import_module(module), last)


@pytest.mark.parametrize("room", ["losses", "metrics"])
def test_the_reference_has_every_module(room: str) -> None:
    modules = {path.stem for path in (ROOT / "mlic_hf" / room).glob("*.py")} - {"__init__"}
    assert {f"mlic_hf.{room}.{module}" for module in modules} <= set(NAMES)


def test_the_site_has_every_page() -> None:
    def pages(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [page for part in (entry.values() if isinstance(entry, dict) else entry) for page in pages(part)]  # type: ignore[attr-defined]

    listed = set(pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    there = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    there |= {f"notebooks/{path.stem}.md" for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")}
    assert there <= listed
    assert listed - there <= {path.name for path in ROOT.glob("*.md")}


def test_the_version_is_the_same_everywhere() -> None:
    files = {"pyproject.toml": r'^version = "(.*)"$', "mlic_hf/__init__.py": r'^__version__ = "(.*)"$'}
    files |= {"CITATION.cff": r"^version: (.*)$", "CHANGELOG.md": r"^## ([\d.]+)"}
    found = {
        file: re.search(told, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE) for file, told in files.items()
    }
    assert len({match[1] for match in found.values() if match}) == 1, found
    assert None not in found.values()


def test_a_list_that_became_running_text_is_told(caplog: pytest.LogCaptureFixture) -> None:
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "site_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    page = SimpleNamespace(file=SimpleNamespace(src_uri="a.md"))
    html = "<p>It says:\n- one\n* two</p>\n<ul>\n<li>three</li>\n</ul>\n<pre><code>\n- four\n</code></pre>"
    with caplog.at_level(logging.WARNING, logger="mkdocs.hooks"):
        assert hooks.on_page_content(html, page) == html
    assert [record.args for record in caplog.records] == [("a.md", "- one"), ("a.md", "* two</p>")]
