"""`make docs-pictures`: the pictures of docs/, taken of the real service in real Chromium.

Names of pictures as arguments make only those.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.forecasts.zones.briefing import briefing_png
from app.forecasts.zones.plan import zone_plan
from app.forecasts.zones.selection import ZoneOptions
from app.main import create_app
from benchmarks.service.page import CHROMIUM, FLAGS
from tests.pictures.city import REGION, City, sample_city
from tests.pictures.shots import NAMES, PAPER, SHOTS, Shot
from tests.support.services.service import remove_home
from tests.support.services.serving import listening

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
COLOURS = 256
OPENED_HOUR = 20
MARGIN = 8
ZONE_KM2 = 0.25
WAIT_MS = 60_000
_DRAWN = "performance.getEntriesByName('hotslot-colours-drawn').length > 0"
_CLOCK = """
const Real = Date;
window.Date = class extends Real {
  constructor(...parts) { parts.length ? super(...parts) : super(MOMENT); }
  static now() { return MOMENT; }
};
"""
"""Playwright's own clock takes the page's performance entries away."""
_BOX = """
([first, last, margin]) => {
  const [begin, end] = [first, last].map((of) => document.querySelector(of));
  const panel = document.querySelector("#panel");
  const top = panel.querySelector("[role=tablist]").getBoundingClientRect().bottom;
  begin.scrollIntoView({ block: "start" });
  panel.scrollTop -= top - begin.getBoundingClientRect().top + margin;
  const [a, b] = [begin, end].map((of) => of.getBoundingClientRect());
  const y = Math.max(a.top - margin, top);
  const height = Math.min(b.bottom + margin, innerHeight) - y;
  return { x: panel.getBoundingClientRect().left, y, width: panel.clientWidth, height };
}
"""
"""Where elements of the panel are, scrolled to below its tabs."""


def main(names: Sequence[str]) -> int:
    """Make the named pictures, or all; 2 for a name that is none."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"unknown picture {unknown[0]}; choose from {', '.join(NAMES)}", file=sys.stderr)
        return 2
    FOLDER.mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="hotslot-pictures-"))
    try:
        with sample_city(home) as city:
            make_pictures(city, names or NAMES, FOLDER)
    finally:
        remove_home(home)
    return 0


def make_pictures(city: City, names: Sequence[str], folder: Path) -> None:
    """Serve a city and write pictures of it."""
    if PAPER in names:
        _save(_paper(city), folder / f"{PAPER}.png")
    with listening(create_app(city.settings, city.engine)) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name in (name for name in names if name in SHOTS):
            _save(take(browser, f"{url}/", SHOTS[name], city.until), folder / f"{name}.png")
        browser.close()


def take(browser: Any, url: str, shot: Shot, until: datetime) -> bytes:
    """Open the page as on the evening after the data end at a local midnight, and take the picture."""
    width, height = shot.size
    context = browser.new_context(
        viewport={"width": width, "height": height}, locale="en-US", color_scheme="light"
    )
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    is_map = shot.address.startswith("?")
    if is_map:  # the API's page waits for time to pass
        opened = until + timedelta(hours=OPENED_HOUR)
        page.add_init_script(_CLOCK.replace("MOMENT", str(int(opened.timestamp() * 1000))))
    page.goto(url + shot.address.format(evening=f"{until:%Y-%m-%d}T23:00"))
    page.wait_for_selector(shot.shown)
    if is_map:
        page.wait_for_function(_DRAWN)
    shot.act(page)
    page.wait_for_load_state("networkidle")
    clip = page.evaluate(_BOX, [*shot.part, MARGIN]) if shot.part else None
    taken: bytes = page.screenshot(clip=clip, animations="disabled")
    context.close()
    return taken


def _paper(city: City) -> bytes:
    service = ForecastService(city.engine, city.settings)
    asked = Selector(shift="night", day=city.until.date())
    found = service.forecast(REGION, asked)
    return briefing_png(zone_plan(service, found, ZoneOptions(4, ZONE_KM2 * 4, record=True)))


def _save(taken: bytes, path: Path) -> None:
    """Write a picture with few colours, which takes a third of the room."""
    picture = Image.open(io.BytesIO(taken)).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
