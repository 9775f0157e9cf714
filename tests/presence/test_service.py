"""The log over HTTP: stored once, read by those who may, erased for good, in outcomes, never in trainings."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import func, select, text

from app.core.db.tables.presence import presence
from app.fitting.data import load_training_data
from app.forecasts.plan import Selector
from app.forecasts.presence import outcome_presence
from app.forecasts.service import ForecastService
from app.presence.rates import Recorded
from app.presence.schemas import ExposureReply, PresencePage, PresenceReply
from app.presence.service import forget_old_presence, since_of, stays_between, store_presence
from app.presence.store import PresenceQuery, page
from app.presence.views import HEADER
from app.regions.store import get_region
from tests.support.services.served import NEW, OLD

URL = "/v1/regions/town/presence"
START, END = NEW + timedelta(hours=3), NEW + timedelta(days=4)
SPAN = {"from": START.isoformat(), "to": END.isoformat()}


@pytest.fixture(scope="module", autouse=True)
def long_memory(settings):
    """The synthetic city is of 2019."""
    settings.presence_retention_days = 36_500


@pytest.fixture
def empty(served):
    served.client.delete(URL, params={"all": True})


def post(served, content, kind="application/json"):
    body = content if isinstance(content, bytes) else json.dumps(content)
    return served.client.post(URL, content=body, headers={"Content-Type": kind})


def stay(start, hours, **place):
    end = start + timedelta(hours=hours)
    return {"from": start.isoformat(), "to": end.isoformat(), "activity": "patrol", **place}


def rows_of(engine):
    with engine.connect() as connection:
        return page(connection, get_region(connection, "town").key, PresenceQuery())


def test_a_row_is_stored_once_however_it_is_named(served, empty):
    cell = int(served.grid.cell_id[40])
    rows = [
        stay(START, 1, cell=cell),
        stay(START, 1, cells=[cell]),
        stay(START, 1, cells=str(cell)),
    ]
    first = post(served, [*rows, stay(START, 1, cell=10**9)]).json()
    PresenceReply.model_validate(first)
    assert (first["received"], first["accepted"], first["duplicates"]) == (4, 1, 2)
    assert first["errors"][0]["field"] == "cell"
    again = post(served, rows).json()
    assert (again["accepted"], again["duplicates"]) == (0, 3)


@pytest.mark.parametrize("fmt", ["geojson", "csv"])
def test_what_is_listed_may_be_sent_again_and_adds_nothing(served, empty, fmt):
    cells = served.grid.cell_id[[3, 50, 51]].tolist()
    given = [stay(START + timedelta(hours=i), 2, cells=cells[: i + 1]) for i in range(3)]
    given[1] |= {"unit": "=car", "activity": 'said "hello", left'}
    assert post(served, given).json()["accepted"] == 3
    kinds = {"geojson": "application/geo+json", "csv": "text/csv"}
    listed = served.client.get(URL, params={"f": fmt})
    again = post(served, listed.content, kinds[fmt]).json()
    assert again["received"] == again["duplicates"] == 3, again
    assert len(rows_of(served.engine)) == 3


def test_pages_follow_each_other_and_filters_hold(served, empty):
    cell = int(served.grid.cell_id[40])
    given = [stay(START + timedelta(hours=i), 1, cell=cell, unit=f"u{i % 2}") for i in range(7)]
    post(served, given)
    found, url = [], f"{URL}?limit=3"
    while url:
        body = served.client.get(url).json()
        PresencePage.model_validate(body)
        found += [f["properties"]["from"] for f in body["features"]]
        url = body["next"]
    assert len(found) == 7
    assert found == sorted(found)
    span = {"from": given[2]["from"], "to": given[4]["to"]}
    assert len(served.client.get(URL, params=span).json()["features"]) == 3
    assert len(served.client.get(URL, params={"unit": "u1"}).json()["features"]) == 3
    text_ = served.client.get(URL, params={"f": "csv", "unit": "u0"}).text
    assert next(csv.reader(io.StringIO(text_))) == list(HEADER)


def test_rows_are_erased_for_good_and_that_is_audited(served, empty):
    cell = int(served.grid.cell_id[40])
    for unit in "abc":
        post(served, [stay(START + timedelta(hours=i), 1, cell=cell, unit=unit) for i in range(3)])
    ids = [row.id for row in rows_of(served.engine)]
    assert served.client.delete(f"{URL}/rows/{ids[0]}").status_code == 204
    assert served.client.delete(f"{URL}/rows/{ids[0]}").status_code == 404
    assert served.client.delete(URL, params={"unit": "b"}).json() == {"erased": 3}
    early = {"to": (START + timedelta(hours=1)).isoformat()}
    assert served.client.delete(URL, params=early).json() == {"erased": 1}
    assert served.client.delete(URL).status_code == 422
    assert served.client.delete(URL, params={"all": True, "unit": "a"}).status_code == 422
    assert served.client.delete(URL, params={"all": True}).json() == {"erased": 4}
    with served.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(presence)) == 0
        actions = connection.scalars(text("SELECT action FROM audit_log WHERE chain = 'town'"))
        assert {"presence.stored", "presence.erased"} <= set(actions)


def test_retention_deletes_what_ended_long_ago(served, settings, empty):
    cell = int(served.grid.cell_id[40])
    post(served, [stay(START, 1, cell=cell), stay(START + timedelta(days=2), 1, cell=cell)])
    now = START + timedelta(days=settings.presence_retention_days, hours=30)
    assert since_of(settings, now) == START + timedelta(hours=30)
    with served.engine.connect() as connection:
        region = get_region(connection, "town")
    assert forget_old_presence(served.engine, settings, region, now) == 1
    assert len(rows_of(served.engine)) == 1


def test_outcomes_say_who_was_there(served, empty):
    before = served.client.get("/v1/regions/town/forecasts/outcomes", params=SPAN).json()
    assert before["presence"] is None
    best = np.argsort(served.tables.mean(axis=0))[::-1][:3]
    cells = served.grid.cell_id[best].tolist()
    given = [stay(START + timedelta(hours=8 * i), 8, cells=cells) for i in range(8)]
    post(served, [*given, stay(OLD, 5, cell=cells[0])])
    # A reply is repeated for a quarter of a second; another address is answered anew.
    anew = {**SPAN, "n_cells": 3}
    after = served.client.get("/v1/regions/town/forecasts/outcomes", params=anew).json()
    told = after.pop("presence")
    assert told["unit_hours"] == pytest.approx(64)
    assert told["unit_hours_inside"] == pytest.approx(64, rel=1e-3)
    assert told["cells_visited"] == 3
    assert 0 < told["share_in_hotspots"] <= 1
    with served.engine.connect() as connection:
        stored = connection.execute(
            text(
                "SELECT x_m, y_m, occurred_at FROM incidents WHERE occurred_at >= :a AND occurred_at < :b"
            ),
            {"a": START, "b": END},
        ).all()
    rows = served.grid.locate(*np.array([row[:2] for row in stored]).T)
    there = np.isin(rows, best)
    during = np.array([row[2] < START + timedelta(hours=64) for row in stored])
    rates = told["rates"]["all"]
    assert rates["present"]["incidents"] == pytest.approx((there & during).sum(), abs=0.05)
    assert rates["absent"]["incidents"] == pytest.approx((there & ~during).sum(), abs=0.05)
    assert rates["elsewhere"]["incidents"] == ((rows >= 0) & ~there).sum()
    assert told["warnings"][0]["code"] == "presence_no_proof"
    for feature in after["features"]:
        hours = feature["properties"].pop("unit_hours_present")
        assert hours == pytest.approx(64 / 3 if feature["id"] in cells else 0, rel=1e-2)
    for name in ("generated_at", "presence"):
        before.pop(name)
        after.pop(name, None)
    assert after == before


def test_a_forecast_of_hours_without_anybody_has_no_report(served, settings, empty):
    service = ForecastService(served.engine, settings)
    forecast = service.forecast("town", Selector(start=START, end=END))
    nothing = Recorded(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    assert outcome_presence(service, forecast, nothing, 5) is None
    post(served, [stay(START - timedelta(hours=1), 2, cell=int(served.grid.cell_id[0]))])
    report, hours = outcome_presence(service, forecast, nothing, len(served.grid))
    assert report["unit_hours_in_hotspots"] == pytest.approx(hours[0])
    assert hours[0] == pytest.approx(1, rel=1e-3)


def test_evaluations_say_how_long_somebody_was_in_the_places(served, empty):
    cells = served.grid.cell_id[[40, 41]].tolist()
    post(served, [stay(START, 3, cell=cells[0]), stay(START, 1, cell=int(served.grid.cell_id[99]))])
    asked = {"cells": cells, "from": SPAN["from"], "to": SPAN["to"]}
    reply = served.client.post("/v1/regions/town/evaluations", json=asked)
    assert reply.status_code == 200, reply.text
    told = reply.json()["periods"][0]["presence"]
    assert told["unit_hours"] == 4
    assert told["share_in_places"] == pytest.approx(0.75, rel=1e-2)
    early = {**asked, "from": "2019-06-01T00:00", "to": "2019-06-08T00:00"}
    before = served.client.post("/v1/regions/town/evaluations", json=early).json()
    assert before["periods"][0]["presence"] is None


def test_exposure_sums_up_hours_by_cell(served, empty):
    cell = int(served.grid.cell_id[40])
    post(served, [stay(START, 3, cell=cell), stay(START + timedelta(hours=1), 1.5, cell=cell)])
    told = served.client.get(f"{URL}/exposure", params=SPAN).json()
    assert (told["rows"], told["unit_hours"]) == (2, 4.5)
    assert told["cells"]["id"] == [cell]
    assert told["cells"]["unit_hours"] == pytest.approx([4.5], rel=1e-3)
    assert served.client.get(f"{URL}/exposure").json()["rows"] == 0
    assert set(told) == {f.serialization_alias or n for n, f in ExposureReply.model_fields.items()}
    for wrong in (
        {"from": SPAN["to"], "to": SPAN["from"]},
        {"from": "2019-01-01", "to": SPAN["to"]},
    ):
        assert served.client.get(f"{URL}/exposure", params=wrong).status_code == 422


def test_trainings_read_the_same_with_and_without_a_log(served, settings, empty):
    key = served.data.region.key

    def read():
        data = load_training_data(served.engine, key, until=NEW)
        found = data.incidents
        return data.data_hash, found.x_m.tobytes(), found.time_s.tobytes(), found.window.tobytes()

    def forecast():
        params = {"at": "2019-12-30T23:00"}
        density = served.client.get("/v1/regions/town/forecasts/density", params=params)
        return density.headers["etag"], density.json()["cells"]

    before = read(), forecast()
    cells = served.grid.cell_id[:50].tolist()
    rows = [stay(OLD + timedelta(hours=i), 20, cell=cells[i % 50]) for i in range(200)]
    content = [json.dumps(rows).encode()]
    stored = store_presence(served.engine, "town", content, "application/json", settings)
    assert stored.accepted == 200
    with served.engine.connect() as connection:
        region = get_region(connection, "town")
    assert len(stays_between(served.engine, region, OLD, datetime.now(UTC))) == 200
    assert (read(), forecast()) == before
