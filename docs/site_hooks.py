"""Brings what lies beside the pages into the site: CONTRIBUTING.md and the like, notebooks with their pictures."""

from __future__ import annotations

import base64
import itertools
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BESIDE = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
PICTURE = "image/jpeg"
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the repository's root, and a page and its pictures for each notebook."""
    from mkdocs.structure.files import File

    for name in BESIDE:
        if (ROOT / name).is_file():
            files.append(File.generated(config, name, content=(ROOT / name).read_text(encoding="utf-8")))
    for path in NOTEBOOKS:
        text, pictures = notebook_page(json.loads(path.read_text(encoding="utf-8")), path.stem)
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
        for name, picture in pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=picture))
    return files


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Links of docs/ to the root, of the root into docs/, and to notebooks, within the site."""
    markdown = re.sub(r"(\]\([^)\s]*)\.ipynb\)", r"\1.md)", markdown)
    if page.file.src_uri in BESIDE:
        return re.sub(r"\]\(docs/", "](", markdown)
    names = "|".join(map(re.escape, BESIDE))
    return re.sub(rf"\]\((\.\./)*({names})", lambda m: "](" + "../" * page.file.src_uri.count("/") + m[2], markdown)


def on_page_content(html: str, page: Any, **kwargs: Any) -> str:
    """Warn of a list that became running text: here it needs an empty line before it, on GitHub it does not."""
    shown = re.sub(r"<pre.*?</pre>", "", html, flags=re.DOTALL)
    for item in re.findall(r"^[-*] .{1,60}", shown, flags=re.MULTILINE):
        logging.getLogger("mkdocs.hooks").warning(
            "%s: %r is shown within a paragraph; put an empty line before the list.", page.file.src_uri, item
        )
    return html


def notebook_page(notebook: dict[str, Any], name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by their file names."""
    pictures: dict[str, bytes] = {}
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        code = re.sub(r"^%config.*\n+", "", source)
        parts.append(f"```python\n{code}\n```")
        for is_text, told in itertools.groupby(outputs(cell), key=lambda output: not output[1]):
            if is_text:
                parts.append("```text\n" + "\n".join(text for text, _ in told) + "\n```")
                continue
            for _, picture in told:
                file = f"{name}_{len(pictures) + 1}.jpg"
                pictures[file] = picture
                parts.append(f"![what this code draws]({file})")
    return "\n\n".join(parts) + "\n", pictures


def outputs(cell: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """What a code cell wrote or drew: a text, or a picture."""
    for output in cell["outputs"]:
        data = output.get("data", {})
        if PICTURE in data:
            yield "", base64.b64decode(data[PICTURE])
        else:
            yield "".join(output.get("text", data.get("text/plain", []))).rstrip("\n"), b""
