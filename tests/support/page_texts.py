"""What several tests read off the page."""

from __future__ import annotations

import tempfile
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe

EVENING = "?region=town&at=2020-01-03T23:00"


def selected(page) -> list[str]:
    return page.eval_on_selector_all(
        "#strip [aria-selected=true]", "all => all.map(b => b.dataset.at)"
    )


def content_of(download) -> bytes:
    """Return a downloaded file; Chromium runs elsewhere and has no path to it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        download.save_as(path)
        return path.read_bytes()


def shares(page, at: str, top: int) -> str:
    page.wait_for_selector(f'body[data-shares="{at} {top}"]')
    return plain(page.inner_text("#shares"))


def plain(text: str) -> str:
    """With spaces where the page keeps words together."""
    return text.replace("\u00a0", " ")


def assert_accessible(page, part: str) -> None:
    axe = Axe()
    found = axe.run(page, context=part, options={"runOnly": ["wcag2a", "wcag2aa"]})
    assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found.response["violations"]] == []
