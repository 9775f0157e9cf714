"""The page says how far its forecast is up to date, and follows a new state without being asked."""

import json
from datetime import UTC, datetime, timedelta

import httpx
from playwright.sync_api import expect

from tests.support.services.site import finished

SITE = "changing_site"
EVENING = "?at=2020-01-06T23:00"


def test_the_page_follows_what_arrives(open_seen, tmp_path):
    seen = open_seen()
    region = f"{seen.site.url}/v1/regions/{seen.site.region}"
    asked = {"model": "pooled-kde", "validate": False}
    run = httpx.post(f"{region}/training-runs", json=asked).raise_for_status().json()
    version = finished(f"{region}/training-runs/{run['id']}")["model_version"]
    httpx.post(f"{region}/models/{version}/promote").raise_for_status()
    seen.page.clock.install()
    page = seen.open(EVENING)
    expect(page.locator("#data-until")).to_have_text("Data until Dec 31, 2019")

    at = datetime(2020, 1, 1, 12, tzinfo=UTC)
    rows = [
        {
            "occurred_at": (at + timedelta(minutes=7 * k)).isoformat(),
            "longitude": -74.07 + k % 3 / 10_000,
            "latitude": 4.65,
            "category": "theft",
        }
        for k in range(60)
    ]
    httpx.post(f"{region}/incidents", json=rows).raise_for_status()
    state = httpx.post(f"{region}/state").raise_for_status().json()
    assert state["assimilated_incidents"] == 60, state
    page.clock.run_for(31_000)
    expect(page.locator("#data-until")).to_have_text(
        "Data until Jan 1, 2020 · 60 incidents since training"
    )
    page.screenshot(path=str(tmp_path / "state.png"))
    page.get_by_label("Language").select_option("es")
    expect(page.locator("#data-until")).to_have_text(
        "Datos hasta el 1 ene 2020 · 60 incidentes desde el entrenamiento"
    )


def test_what_late_data_cost_is_measured_on_request(open_seen, tmp_path):
    def shorten(route):
        """Ask for two days instead of four weeks: the same five backtests in less time."""
        asked = json.loads(route.request.post_data)
        route.continue_(post_data=json.dumps({**asked, "horizon_days": 2}))

    seen = open_seen()
    seen.page.route(
        "**/backtests",
        lambda route: shorten(route) if route.request.method == "POST" else route.continue_(),
    )
    page = seen.open(f"{EVENING}&tab=trust")
    expect(page.locator("#late-data")).to_have_count(0)
    page.locator("#start-late").click()
    expect(page.locator("#late-data tbody tr")).to_have_count(5, timeout=600_000)
    days = page.locator("#late-data tbody tr > :first-child").all_inner_texts()
    assert days == ["0", "1", "7", "14", "45"]
    page.locator("#late-data").scroll_into_view_if_needed()
    page.screenshot(path=str(tmp_path / "late.png"))
