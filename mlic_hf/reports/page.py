"""Pages of reports: one HTML file with its pictures inside, for a browser without a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from mlic_hf.data import read_image

THUMBNAIL = 128
STYLE = """
:root { color-scheme: light; --ink: #1d2430; --dim: #667080; --line: #dfe3ea; --paper: #fff; --bad: #b3261e; }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 24px 28px 80px; max-width: 1180px; background: var(--paper); color: var(--ink);
       font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
h1 { font-size: 26px; margin: 0 0 4px } h2 { font-size: 19px; margin: 38px 0 10px }
p { margin: 6px 0 } .dim { color: var(--dim) } .bad { color: var(--bad) }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: 3px 12px 3px 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: middle }
th { font-weight: 600; white-space: nowrap } td.n, th.n { text-align: right }
.tall { max-height: 620px; overflow: auto; border: 1px solid var(--line); padding: 0 10px }
.tall th { position: sticky; top: 0; background: var(--paper) }
.bar { display: inline-block; height: 9px; border-radius: 2px; vertical-align: middle }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); gap: 14px 12px }
figure { margin: 0; min-width: 0 } figure img { max-width: 100%; height: 96px; object-fit: contain; display: block }
figcaption { font-size: 12px; line-height: 1.3; overflow-wrap: anywhere }
.group { display: flex; flex-wrap: wrap; gap: 14px; padding: 8px 0; border-bottom: 1px solid var(--line) }
.group figure { width: 170px } .key { margin-right: 16px; white-space: nowrap }
li { margin: 3px 0 } svg text { font: 10px system-ui, "DejaVu Sans", sans-serif; fill: var(--ink) }
"""


def write_page(path: str | Path, title: str, parts: Sequence[str]) -> None:
    """Write parts of a page, which are HTML already, as a document that may load nothing and run nothing."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
    )
    text = head + "\n".join(parts) + "</body></html>\n"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8", errors="backslashreplace")


def section(title: str, content: str) -> str:
    """A heading and what stands below it."""
    return f"<h2>{escape(title)}</h2>\n{content}"


def plural(count: int, what: str) -> str:
    """`3 pictures`, `1 picture`."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], numbers: Sequence[int] = ()) -> str:
    """A table; cells are HTML already, those of the columns `numbers` stand on the right."""

    def line(cells: Sequence[Any], tag: str) -> str:
        kinds = [' class="n"' if place in numbers else "" for place in range(len(cells))]
        return "<tr>" + "".join(f"<{tag}{kind}>{cell}</{tag}>" for cell, kind in zip(cells, kinds)) + "</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def picture(image: Any, image_id: str, caption: str) -> str:
    """A figure of a row's picture, made small; the caption is HTML already.

    Args:
        image: what `read_image` takes.
        image_id: for the message when it cannot be read.
        caption: what stands below.
    """
    small = read_image(image, image_id)
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<figure><img alt="" src="data:image/jpeg;base64,{data}"><figcaption>{caption}</figcaption></figure>'
