"""Brings the pages that lie beside docs/ (CONTRIBUTING.md, ...) into the site, so that links to them hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BESIDE = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the repository's root."""
    from mkdocs.structure.files import File

    for name in BESIDE:
        if (ROOT / name).is_file():
            files.append(File.generated(config, name, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Links of docs/ to the root, and of the root into docs/, within the site."""
    if page.file.src_uri in BESIDE:
        return re.sub(r"\]\(docs/", "](", markdown)
    names = "|".join(map(re.escape, BESIDE))
    return re.sub(rf"\]\(\.\./({names})", r"](\1", markdown)
