"""Two forecasts compared: side by side, as a difference, in the link; and hours played without a gap."""

from __future__ import annotations

import io
import re
import time

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.support.page_texts import EVENING

pytestmark = pytest.mark.browser
OTHER = "2020-01-01T04:00"
ANTISYMMETRIC = """async ([a, b]) => {
  const { contrastOf } = await import("/static/js/measures.js");
  const [there, back] = [contrastOf(a, b), contrastOf(b, a)];
  const sum = there.values.reduce((x, y) => x + y, 0);
  const apart = Math.max(...there.values.map((v, i) =>
    Math.max(Math.abs(v + back.values[i]), Math.abs(there.place(v) + back.place(-v) - 1))));
  const other = contrastOf(a, { ...b, grid: { ...b.grid, nx: b.grid.nx + 1 } });
  return [sum, apart, there.place(0), other];
}"""

PALEST = """() => {
  window.palest = 1;
  const look = () => {
    window.palest = Math.min(palest, getComputedStyle(document.querySelector("#map")).opacity);
    requestAnimationFrame(look);
  };
  look();
}"""


def _density(seen, at: str, **more) -> dict:
    query = {"at": at, **more}
    return httpx.get(f"{seen.site.url}/v1/regions/town/forecasts/density", params=query).json()


def _picture(page, which: str) -> bytes:
    page.wait_for_timeout(300)
    return page.locator(f"{which} canvas").screenshot()


def test_a_link_restores_two_maps_that_move_together(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&vs=side&vs_at={OTHER}")
    expect(page.locator("#name-a")).to_contain_text("Friday, January 3, 2020, 23:00")
    expect(page.locator("#name-b")).to_contain_text("Wednesday, January 1, 2020, 04:00")
    here, there = (_density(seen, at)["expected_total"] for at in ("2020-01-03T23:00", OTHER))
    expect(page.locator("#vs-text")).to_contain_text(f"{here:.1f} incidents expected here")
    expect(page.locator("#vs-text")).to_contain_text(f"{there:.1f} there")
    first, second = (page.locator(f).bounding_box() for f in ("#map canvas", "#map-b canvas"))
    assert abs(first["width"] - second["width"]) < 5
    before = _picture(page, "#map-b")
    page.click(".maplibregl-ctrl-zoom-in")
    assert _picture(page, "#map-b") != before
    before = _picture(page, "#map")
    page.hover("#map-b canvas")
    page.mouse.wheel(0, -400)
    assert _picture(page, "#map") != before
    page.select_option("#vs", "")
    expect(page.locator("#map-b")).to_be_hidden()
    assert "vs" not in page.url


def test_a_difference_is_that_of_the_expected_counts(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    page.click("#compare > summary")
    page.select_option("#vs", "difference")
    page.select_option("#vs-category", "theft")
    expect(page.locator("#legend")).to_contain_text("Difference of the two")
    expect(page.locator("#vs-text")).to_contain_text("theft")
    expect(page).to_have_url(re.compile("vs=difference.*vs_category=theft"))
    two = [_density(seen, "2020-01-03T23:00"), _density(seen, "2020-01-03T23:00", category="theft")]
    total, apart, middle, unlike = page.evaluate(ANTISYMMETRIC, two)
    assert total == pytest.approx(two[0]["expected_total"] - two[1]["expected_total"], rel=1e-6)
    assert apart < 1e-12
    assert (middle, unlike) == (0.5, None)
    end = max(a - b for a, b in zip(*(d["cells"]["expected_count"] for d in two), strict=True))
    assert float(page.inner_text("#legend .ticks span:last-child").lstrip("≥ \u00a0")) <= end


def _coloured(png: bytes) -> int:
    """Pixels that are neither background nor grey: what of the cells is seen."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return int((pixels.max(axis=2) - pixels.min(axis=2) > 12).sum())


def test_between_the_hours_of_a_night_the_map_is_never_empty_or_grey(open_seen):
    seen = open_seen(900, 700)
    page = seen.open(EVENING)
    whole = _coloured(page.locator("#map canvas").screenshot())

    def late(route) -> None:
        time.sleep(0.5)
        route.continue_()

    page.route("**/forecasts/density?*", late)
    page.evaluate(PALEST)
    page.click("#play")
    seen_hours, least = set(), whole
    for _ in range(10):
        least = min(least, _coloured(page.locator("#map canvas").screenshot()))
        seen_hours.add(page.inner_text("#when"))
        page.wait_for_timeout(250)
    page.click("#play")
    assert len(seen_hours) >= 2
    assert least > 0.6 * whole
    assert page.evaluate("palest") == 1
    page.unroute("**/forecasts/density?*")
