"""The week strip shows the data beside the forecast, to whoever may list incidents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import httpx
import pytest
from playwright.sync_api import expect

from app.incidents.service import UploadSource, ingest
from app.main import create_app
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from tests.support.page_texts import EVENING, assert_accessible, plain
from tests.support.services.serving import listening
from tests.support.services.site import Site

pytestmark = pytest.mark.browser
SITE = "inexact_site"
PARTS = ("exact", "interval", "placeholder")
FRIDAY_23 = 4 * 24 + 23
CELL = '#strip [data-at="2020-01-03T23:00"]'


@pytest.fixture(scope="module")
def inexact_site(chromium_path, engine, settings, town, town_csv) -> Iterator[Site]:
    """The town with 900 burglaries of an evening more, and 600 of unknown times of day."""
    monday = datetime(2019, 1, 7)
    evenings = [monday + timedelta(days=i % 300, hours=17, minutes=i % 60) for i in range(900)]
    midnights = [monday + timedelta(days=i % 300) for i in range(600)]
    rows = [(at, at + timedelta(hours=9), "Burglary") for at in evenings]
    rows += [(at, at, "Theft") for at in midnights]
    lines = [
        f"{at.isoformat()},{to.isoformat()},{kind},{-74.05 - i % 97 / 1e4:.4f},{4.64 + i // 97 / 1e4:.4f}"
        for i, (at, to, kind) in enumerate(rows)
    ]
    body = "\n".join(["occurred_from,occurred_to,category,longitude,latitude", *lines]).encode()
    ingest(engine, town, [body], UploadSource("text/csv"), settings=settings)
    request = TrainingRequest(model="pooled-kde", seed=0, validate=False)
    assert run_now(engine, settings, town, request, lambda *_: None).status == "succeeded"
    with listening(create_app(settings, engine)) as url:
        yield Site(url, town, town_csv)


def test_the_strip_shows_what_is_stored(open_seen):
    seen = open_seen(1440, 900)
    page = seen.open(EVENING)
    forecast = page.get_attribute(CELL, "aria-label")
    data = httpx.get(f"{seen.site.url}/v1/regions/town/hour-of-week").json()
    page.check("#strip-views [value=data]", force=True)
    note = page.locator("#strip-note")
    expect(note).to_contain_text(f"{data['n_incidents']:,} stored incidents")
    label = page.get_attribute(CELL, "aria-label")
    numbers = re.findall(r"([\d.,]+) (?:incidents|at exact|of intervals|of unknown)", label)
    mine = [data[name][FRIDAY_23] for name in PARTS]
    assert label.startswith("Fri 23:00: ")
    assert [float(n.replace(",", "")) for n in numbers] == pytest.approx(
        [sum(mine), *mine], abs=0.06
    )
    assert min(mine[:2]) > 0
    midnight = page.get_attribute('#strip [data-at="2020-01-03T00:00"]', "aria-label")
    assert float(re.search(r"([\d.]+) of unknown", midnight)[1]) > 50
    for name, text in zip(PARTS, ("exact times", "intervals", "unknown times"), strict=True):
        share = 100 * sum(data[name]) / data["n_incidents"]
        legend = plain(page.inner_text("#strip-legend"))
        shown = re.search(rf"{text}[^\d]*([\d.]+) %", legend)[1]
        assert float(shown) == pytest.approx(share, abs=0.5)
    # Midnights are many times as high as known times: their bars are cut off, and the page says where.
    assert "cut off at" in note.inner_text()
    assert "strip=data" in page.url
    assert "map=" not in page.url
    assert_accessible(page, "#time")
    page.check("#strip-views [value='']", force=True)
    expect(page.locator(CELL)).to_have_attribute("aria-label", forecast)
    assert page.is_hidden("#strip-note")


def test_by_keyboard_by_kind_by_link_and_in_spanish(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    page.focus("#strip-views [value='']")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#strip-note")).to_be_visible()
    page.focus(CELL)
    page.keyboard.press("ArrowUp")
    expect(page.locator("#when")).to_contain_text("Thursday")
    kind = page.locator("#category option").nth(1).get_attribute("value")
    page.select_option("#category", kind)
    expect(page.locator("#strip-note")).to_contain_text(f"{kind}, all weeks")
    page.reload()
    expect(page.locator("#strip-note")).to_contain_text(f"{kind}, all weeks")
    page.select_option("#language", "es")
    expect(page.locator("#strip-note")).to_contain_text("incidentes guardados")
    assert "a horas exactas" in page.get_attribute(CELL, "aria-label")


def test_on_a_phone_nothing_runs_over(open_seen):
    seen = open_seen(390, 844, has_touch=True, is_mobile=True)
    page = seen.open(f"{EVENING}&strip=data")
    expect(page.locator("#strip-note")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
