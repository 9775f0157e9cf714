"""What several tests read off the page."""

from __future__ import annotations

import tempfile
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe

EVENING = "?region=town&at=2020-01-03T23:00"
NOTHING_IS_GREY = """() => document.body.dataset.load !== "loading"
  && ["#when", "#plan"].every((id) => getComputedStyle(document.querySelector(id)).opacity === "1")"""


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


def assert_accessible(page, part: str | None = None) -> None:
    """All rules for the whole page, those of WCAG 2 AA for a part of it."""
    # What is shown is grey while a reply is late, and its contrast is meant to be low then.
    page.wait_for_function(NOTHING_IS_GREY)
    rules = {} if part is None else {"options": {"runOnly": ["wcag2a", "wcag2aa"]}}
    found = Axe().run(page, context=part, **rules)
    assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found.response["violations"]] == []
