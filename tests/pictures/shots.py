"""What each picture shows: the address, the clicks, and the part of the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Act = Callable[[Any], object]
PANEL_HEIGHT = 1500


@dataclass(frozen=True)
class Shot:
    """One picture of the page.

    Args:
        address: below the service's, `{evening}` is 23:00 of the day on which the page is opened.
        shown: selector of what must be there first.
        act: clicks, with the Playwright page; what they lead to must be there at their end.
        part: selectors of the first and the last element in the picture; None: all of the window.
        size: of the window in CSS pixels.
    """

    address: str
    shown: str
    act: Act = lambda page: None
    part: tuple[str, str] | None = None
    size: tuple[int, int] = (1280, 800)


PLAN = "body[data-ready=true][data-load=done] #plan-zones > li"
READY = "body[data-ready=true][data-load=done]"


def _why_zone(page: Any) -> None:
    page.click("[data-key=zone-1]")
    page.wait_for_selector(".zone-why table")


def _why_cell(page: Any) -> None:
    page.locator("#top-cells button[data-cell]").first.click()
    page.wait_for_selector("#card .why table", state="attached")


def _opened(part: str, content: str) -> Act:
    """Open a part of the panel and wait for its content."""

    def act(page: Any) -> None:
        page.click(f"{part} > summary")
        page.wait_for_selector(content)

    return act


def _hotspots_operation(page: Any) -> None:
    """Open the description of the hotspots at the top of the window."""
    operation = page.locator(".opblock", has_text="/forecasts/hotspots").first
    operation.locator(".opblock-summary-control").click()
    operation.locator(".opblock-body table").first.wait_for()
    operation.evaluate("element => element.scrollIntoView({ block: 'start' })")


SHOTS = {
    "plan": Shot("?tab=plan&cars=4", PLAN),
    "why": Shot("?tab=plan&cars=4", PLAN, _why_zone, ("#plan-zones [data-rank='1']",) * 2),
    "forecast": Shot("?tab=forecast&at={evening}", f"{READY}[data-shares]", _why_cell),
    "evaluation": Shot(
        "?tab=trust", "#rates", part=("#headline", "#rates"), size=(1280, PANEL_HEIGHT)
    ),
    "register": Shot(
        "?tab=trust", "#register-table", part=("#register", "#register-newest"),
        size=(1280, PANEL_HEIGHT),
    ),
    "worth": Shot(
        "?tab=trust", "#worth", _opened("#worth", "#worth-sizes"), ("#worth", "#worth"),
        size=(1280, PANEL_HEIGHT),
    ),
    "data-report": Shot(
        "?tab=run", "#report-part", _opened("#report-part", "#report svg"),
        ("#holds", "#report-part"), size=(1280, PANEL_HEIGHT),
    ),
    "export": Shot("?tab=take", "#downloads", part=("#pane-take", "#pane-take"), size=(1280, 1000)),
    "keys": Shot(
        "?tab=run", "#keys-part", _opened("#keys-part", "#new-key"), ("#keys-part", "#keys-part"),
        size=(1280, PANEL_HEIGHT),
    ),
    "api": Shot("docs", "#swagger-ui .opblock", _hotspots_operation, size=(1100, 760)),
    "phone": Shot("?tab=plan", PLAN, size=(390, 844)),
}  # fmt: skip
"""Pictures of the page by the name of their file."""
PAPER = "paper"
"""The page that the button Print saves, as a picture."""
NAMES = (*SHOTS, PAPER)
