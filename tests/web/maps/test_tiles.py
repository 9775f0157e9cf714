"""Tiles that an administrator lays beneath the cells: asked of that host alone, and credited."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from playwright.sync_api import expect
from pydantic import ValidationError

from app.core.settings import Settings
from app.main import create_app
from tests.support.services.serving import listening
from tests.support.services.site import Site

pytestmark = pytest.mark.browser
SITE = "tiled_site"
CREDIT = 'Streets <b>&copy;</b> "The mappers"'
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Tiles(BaseHTTPRequestHandler):
    """Says the same of everywhere, and keeps what it was asked."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(PIXEL)

    def log_message(self, *_: object) -> None:
        """Nothing: the test reads `asked`."""


@dataclass
class TiledSite(Site):
    """A page with a tile server beside it."""

    asked: list[str]


@pytest.fixture(scope="module")
def tiled_site(chromium_path, engine, settings, town, town_csv) -> Iterator[TiledSite]:
    handler = type("Kept", (Tiles,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    origin = f"http://127.0.0.1:{server.server_port}"
    tiled = settings.model_copy(
        update={
            "page_tiles_url": f"{origin}/streets/{{z}}/{{x}}/{{y}}.png",
            "page_tiles_attribution": CREDIT,
        }
    )
    with listening(create_app(tiled, engine)) as url:
        yield TiledSite(url, town, town_csv, also=(origin,), asked=handler.asked)
    server.shutdown()
    server.server_close()


def test_tiles_are_asked_of_that_host_alone_and_credited(open_seen):
    seen = open_seen()
    page = seen.open("?region=town")
    with page.expect_response("**/streets/**"):
        page.click(".maplibregl-ctrl-zoom-in")
    assert all(path.startswith("/streets/") and path.endswith(".png") for path in seen.site.asked)
    assert page.inner_text("#attribution") == CREDIT


def test_no_other_host_may_be_asked(tiled_site):
    policy = httpx.get(tiled_site.url).headers["content-security-policy"]
    assert f"img-src 'self' data: blob: {tiled_site.also[0]};" in policy
    assert f"connect-src 'self' {tiled_site.also[0]};" in policy
    assert "default-src 'none'; script-src 'self';" in policy


@pytest.mark.parametrize(
    "url",
    [
        "tiles/{z}/{x}/{y}.png",
        "ftp://tiles.example/{z}/{x}/{y}.png",
        "https://tiles.example/{z}/{x}.png",
        "https://tiles.example; script-src */{z}/{x}/{y}.png",
        "https://user:secret@tiles.example/{z}/{x}/{y}.png",
    ],
)
def test_a_setting_that_is_no_tile_url_is_refused(url):
    with pytest.raises(ValidationError, match="tile URL"):
        Settings(page_tiles_url=url)


def test_the_legend_is_as_opaque_as_the_cells_and_paper_has_the_credit(open_seen):
    seen = open_seen()
    page = seen.open("?region=town")
    found = page.evaluate(
        """async () => {
          const { gradient, painted, SEQUENTIAL_RAMP } = await import("/static/js/colours.js");
          const { fillBriefing } = await import("/static/js/export.js");
          const cells = painted({ values: [0, 1], place: (v) => v, ramp: SEQUENTIAL_RAMP });
          fillBriefing({ region: { name: "Town", timezone: "UTC" }, picture: null,
            cells: document.createElement("p"),
            shown: { at: "2020-01-01T00:00:00Z", warnings: [], asked: {}, model_version: "v" } });
          const found = gradient(SEQUENTIAL_RAMP, true).matchAll(/[/] ([0-9.]+)/g);
          const alphas = [...found].map((m) => Number(m[1]));
          return { cells: [cells[3] / 255, cells[7] / 255], legend: [alphas[0], alphas.at(-1)],
            credit: document.querySelector("#briefing .credit").textContent };
        }"""
    )
    assert found["cells"] == pytest.approx(found["legend"], abs=0.01)
    # Streets beneath empty cells are nearly free, and those beneath the fullest can still be read.
    assert found["cells"][0] < 0.1 < 0.7 < found["cells"][1] < 0.85
    assert found["credit"] == CREDIT


def test_a_dead_tile_server_is_said(open_seen):
    seen = open_seen()
    seen.page.route("**/streets/**", lambda route: route.abort())
    page = seen.open("?region=town")
    expect(page.locator("#attribution")).to_have_text(
        "The streets beneath the cells could not be loaded."
    )
    page.goto("about:blank")  # no more tiles are asked for while the errors are looked through
    seen.errors[:] = [line for line in seen.errors if "ERR_FAILED" not in line]
