"""The page in real Chromium: first view, bytes on the wire, redraw after a change of hour.

The first view is that of the plan, as the page opens, with its zones and the map beneath; that of a link
to an hour's forecast, with its hotspots, stands beside it. The slower one is judged, and the hours are those
of the forecast.

Toronto's incidents and a `pooled-kde`, which fills the page as any model does; without a registry (or
`HOTSLOT_BENCH_DATA=synthetic`) the synthetic city. The browser draws in software, as on a machine
without a graphics card.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from app.cli.demo_data import DemoData, prepare
from app.core.db.engine import open_engine
from app.core.db.schema import migrate
from app.core.errors import Unavailable
from app.core.settings import Settings
from app.incidents.service import ingest_file
from app.regions.service import add_region
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from benchmarks.cities import machine
from benchmarks.service.serve import server
from tests.support.services.service import remove_home

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--disable-quic"]
FIRST_VIEWS = 5
HOURS = 20
VIEWS = {
    "plan": ("", "body[data-ready=true][data-load=done] #plan-zones > li"),
    "forecast": ("?tab=forecast", "body[data-ready=true][data-shares]"),
}
"""Address of each view, and what shows that all of it is there."""
_DRAWN = "performance.getEntriesByName('hotslot-colours-drawn').length > 0"
_REDRAWS = """
async (hours) => {
  const replied = () => performance.getEntriesByType("resource")
    .filter((e) => e.name.includes("/forecasts/density")).at(-1);
  const drawn = () => performance.getEntriesByName("hotslot-colours-drawn").at(-1)?.startTime ?? 0;
  const gl = document.querySelector("#map canvas").getContext("webgl2");
  const waits = [];
  for (let i = 0; i < hours; i++) {
    const before = document.querySelector("#when").textContent;
    const asked = replied();
    document.querySelector("#later").click();
    while (document.querySelector("#when").textContent === before || replied() === asked
        || drawn() < replied().responseEnd) {
      await new Promise(requestAnimationFrame);
    }
    // Waits for all that the graphics process was given; then for the frame that shows it.
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    await new Promise(requestAnimationFrame);
    waits.push(performance.now() - replied().responseEnd);
  }
  return waits;
}
"""


def main() -> None:
    """Run all parts; ends with the `RESULT` line."""
    print(machine())
    home = Path(tempfile.mkdtemp(prefix="hotslot-page-"))
    try:
        _fill(home)
        environment = {"HOTSLOT_HOME": str(home)}
        command = ["-m", "app.cli", "serve", "--workers", "0"]
        with server(command, environment, "/readyz") as port:
            found = _measured(f"http://127.0.0.1:{port}/")
    finally:
        remove_home(home)
    print("RESULT page " + " ".join(f"{name}={value:.3g}" for name, value in found.items()))


def _fill(home: Path) -> None:
    settings = Settings(home=home)
    data = _prepared(home)
    engine = open_engine(settings)
    migrate(engine)
    add_region(
        engine,
        data.region,
        timezone=data.timezone,
        boundary=data.boundary,
        neighbourhoods=data.neighbourhoods,
    )
    ingest_file(engine, data.region, data.path, settings=settings)
    run = run_now(
        engine, settings, data.region, TrainingRequest(model="pooled-kde", seed=0), lambda *_: None
    )
    if run.status != "succeeded":
        raise RuntimeError(run.message)
    engine.dispose()


def _prepared(home: Path) -> DemoData:
    try:
        return prepare(os.environ.get("HOTSLOT_BENCH_DATA", "toronto"), home / "cache")
    except Unavailable as error:
        print(f"{error.message}: the synthetic city instead")
        return prepare("synthetic", home / "cache")


def _measured(url: str) -> dict[str, float]:
    """Medians of first views in fresh browsers' caches; the worst of the redraws too."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        views = {
            name: [_first_view(browser, url, name) for _ in range(FIRST_VIEWS)] for name in VIEWS
        }
        page = browser.new_context().new_page()
        query, ready = VIEWS["forecast"]
        page.goto(url + query)
        page.wait_for_selector(ready)
        redraws = page.evaluate(_REDRAWS, HOURS)
        browser.close()
    for name, seen in views.items():
        print(f"first views of the {name}, s: {[round(s, 2) for s, _ in seen]}")
    print(f"redraws after the reply, ms: {[round(ms) for ms in redraws]}")
    return {
        "first_view_s": max(statistics.median(s for s, _ in seen) for seen in views.values()),
        "transferred_mb": max(n for seen in views.values() for _, n in seen) / 1e6,
        "redraw_ms": statistics.median(redraws),
        "redraw_worst_ms": max(redraws),
    }


def _first_view(browser: Any, url: str, name: str) -> tuple[float, float]:
    """Seconds until all of a first view is drawn, and bytes received for it."""
    query, ready = VIEWS[name]
    context = browser.new_context()
    page = context.new_page()
    client = context.new_cdp_session(page)
    client.send("Network.enable")
    received: list[float] = []
    client.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    started = time.perf_counter()
    page.goto(url + query)
    page.wait_for_selector(ready)
    page.wait_for_function(_DRAWN)
    seconds = time.perf_counter() - started
    context.close()
    return seconds, sum(received)
