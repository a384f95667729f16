"""A real browser for the tests that look at pages: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = os.environ.get("MLIC_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def page(width: int = 1200, height: int = 900, offline: bool = False) -> Iterator[tuple[Any, list[str]]]:
    """An empty page, and the errors of its console as they come; skips where there is no browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine (MLIC_CHROMIUM names one)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            context = browser.new_context(viewport={"width": width, "height": height}, offline=offline)
            made = context.new_page()
            errors: list[str] = []
            made.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
            made.on("pageerror", lambda error: errors.append(str(error)))
            yield made, errors
        finally:
            browser.close()
