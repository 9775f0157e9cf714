"""What plans caught before: counted again by hand, for those who may list incidents."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from app.core.roles import sees_unreleased
from app.evaluation.backtests.plans import grid_digest, plan_shares, plans_json
from app.evaluation.backtests.request import BacktestRequest
from app.forecasts.zones.record import record_of
from app.forecasts.zones.selection import ZoneOptions
from app.geo.study_area import to_degrees
from app.regions.store import get_region
from app.runs.store import claim_run, finish_run, request_run
from app.runs.words import RUN_MESSAGES
from models.densities.uniform import Uniform
from models.evaluation.significance import wilson_interval
from models.units import DAY_S

BASE = "/v1/regions/town/forecasts/zones"
SPAN = {"from": "2019-12-30T20:00", "to": "2019-12-31T02:00", "max_km2": 0.25, "n": 1}
HOURS = (20, 21, 22, 23, 0, 1)
DAYS = 28


@pytest.fixture(scope="module")
def tested(served):
    """The town with a finished backtest of the champion's model at two origins."""
    last = int(served.data.incidents.time_s[-1]) // DAY_S * DAY_S
    origins = (last - 2 * DAYS * DAY_S, last - DAYS * DAY_S)
    fitted = Uniform()
    fitted.probability_ = served.tables
    windows = served.data.incidents.window
    results = [_result(origin, plan_shares(fitted, windows)) for origin in origins]
    result = {
        "plans": plans_json(results, served.grid),
        "horizon_days": DAYS,
        "provenance": {"grid": grid_digest(served.grid)},
    }
    with served.engine.begin() as connection:
        key = get_region(connection, "town").key
        run = request_run(connection, "backtest", key, BacktestRequest())
        run = claim_run(connection, "backtest", run.id)
        finish_run(
            connection, "backtest", run, "succeeded", RUN_MESSAGES.make("run_done"), result=result
        )
    return served, origins


def _result(origin_s, plan):
    from app.evaluation.backtests.checkpoints import Task, TaskResult

    return TaskResult(Task("truth", origin_s, 0), None, {}, None, 0.0, plan=plan)


def test_hits_are_those_that_happened(tested):
    served, origins = tested
    reply = served.client.get(BASE, params={**SPAN, "record": True})
    assert reply.status_code == 200, reply.text
    record = reply.json()["record"]
    incidents = served.data.incidents
    rows = served.grid.locate(incidents.x_m, incidents.y_m)
    in_hours = np.isin(incidents.window % 24, HOURS)
    by_hour = served.tables.reshape(7, 24, -1)
    weight = (1 + np.bincount(incidents.window, minlength=168)).reshape(7, 24)
    value = np.einsum("dh,dhn->hn", weight, by_hour)[list(HOURS)].sum(axis=0)
    whole = served.grid.area_km2 >= 0.25 * (1 - 1e-9)
    n = model = 0
    for origin in origins:
        period = (incidents.time_s >= origin) & (incidents.time_s < origin + DAYS * DAY_S)
        counts = np.bincount(rows[period & in_hours], minlength=len(served.grid))
        n += counts.sum()
        model += counts[np.argmax(np.where(whole, value, 0))]
    assert (record["origins"], record["days"], record["hours"]) == (2, DAYS, sorted(HOURS))
    assert record["incidents"] == n
    assert record["zones"]["hits"] == record["free_cells"]["hits"] == model
    low, high = wilson_interval(int(model), int(n))
    assert (record["zones"]["lo"], record["zones"]["hi"]) == pytest.approx((low, high))
    assert 0 < record["last_year"]["hits"] <= n
    again = served.client.get(BASE, params={**SPAN, "record": True}).json()
    assert again["record"] == record


@pytest.mark.slow
def test_the_record_is_on_the_page_and_asked_for(tested):
    served, _ = tested
    assert "record" not in served.client.get(BASE, params=SPAN).json()
    page = served.client.get(BASE, params={**SPAN, "record": True, "f": "pdf"})
    assert page.content.startswith(b"%PDF")


def test_there_is_none_for_readers_kinds_and_other_cells(tested):
    served, _ = tested
    for more, reason in (
        ({"category": served.data.categories[1]}, "some_categories"),
        ({"cell_size_m": 1000, "max_km2": 3}, "other_cells"),
        ({"model": "flat"}, "no_backtest"),
    ):
        body = served.client.get(BASE, params={**SPAN, "record": True, **more}).json()
        assert (body["record"], body["record_reason"]) == (None, reason)
    service = served.client.app.state.forecasts
    forecast = service.forecast("town", _selector())
    token = sees_unreleased.set(False)
    try:
        found = record_of(service, forecast, ZoneOptions())
    finally:
        sees_unreleased.reset(token)
    assert found == {"record": None, "record_reason": "not_released"}


def _selector():
    from datetime import UTC, datetime

    from app.forecasts.plan import Selector

    return Selector(at=datetime(2019, 12, 30, 20, tzinfo=UTC))


def test_unknown_times_count_by_share_and_an_erasure_is_heeded_at_once(tested):
    served, origins = tested
    asked = {**SPAN, "record": True}
    before = served.client.get(BASE, params=asked).json()["record"]
    profile = np.array(
        served.client.app.state.forecasts.versions.read("town").record.counts["profile"]
    )
    x_m, y_m = (float(one[40]) for one in served.grid.centres_m())
    longitude, latitude = to_degrees(np.array([x_m]), np.array([y_m]), served.grid.crs)
    zone = ZoneInfo("America/Bogota")
    day = datetime.fromtimestamp(origins[0], zone).replace(hour=0, minute=0, second=0)
    expected, rows = 0.0, []
    for n in range(1, 21):
        start = day + timedelta(days=n)
        rows.append(
            {
                "occurred_from": start.isoformat(),
                "occurred_to": (start + timedelta(days=1)).isoformat(),
                "longitude": longitude[0],
                "latitude": latitude[0],
                "category": served.data.categories[0],
            }
        )
        hours = profile[24 * start.weekday() :][:24]
        expected += hours[list(HOURS)].sum() / hours.sum()
    headers = {"Idempotency-Key": "record-of-unknown-times"}
    reply = served.client.post("/v1/regions/town/incidents", json=rows, headers=headers).json()
    assert reply["accepted"] == 20
    served.client.app.state.forecasts.forget_region("town")
    during = served.client.get(BASE, params=asked).json()["record"]
    assert during["incidents"] == pytest.approx(before["incidents"] + expected, abs=1)
    gone = served.client.delete(f"/v1/regions/town/uploads/{reply['upload_id']}")
    assert gone.status_code == 200, gone.text
    after = served.client.get(BASE, params=asked).json()["record"]
    assert after == before
