"""What happened here before: counts for those who may list incidents, kinds that tell readers no counts."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import shapely

from app.core.roles import seeing_unreleased
from app.forecasts.explain.document import Asked, asked_cells
from app.forecasts.explain.past import NEAR_DAYS, NEAR_M, Past, counts_of, kinds_of
from app.forecasts.explain.schemas import ExplainReply
from tests.support.services.state_requests import AT, EAST, refresh, upload
from tests.support.simulated.made_forecasts import version_of
from tests.support.simulated.small_region import START, row, train

END = datetime(2024, 3, 1, 5, tzinfo=UTC)
"""Midnight in Bogota."""


def drawn_past(n=3_000, seed=0, minimum=20):
    """Incidents at random in the cells of a made version, over two years before the end."""
    grid = version_of().grid
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(grid), size=n)
    x_m, y_m = (c[rows] + rng.uniform(-250, 250, n) for c in grid.centres_m())
    time_s = int(END.timestamp()) - rng.integers(1, 740 * 86_400, n)
    return Past(rows, np.sort(time_s), x_m, y_m, END, minimum)


def test_months_and_near_incidents_are_what_counting_gives():
    past, version = drawn_past(), version_of()
    rows = np.array([2, 3])
    found = counts_of(past, version, rows)
    bogota = timedelta(hours=-5)
    when = [datetime.fromtimestamp(int(t), UTC) + bogota for t in past.time_s]
    for month in found["months"]:
        mine = [
            f"{at:%Y-%m}" == month["month"] and row in rows
            for at, row in zip(when, past.rows, strict=True)
        ]
        assert month["n"] == sum(mine), month
    assert [found["months"][i]["month"] for i in (0, -1)] == ["2022-03", "2024-02"]
    assert found["n"] == sum(month["n"] for month in found["months"])
    near = 0
    squares = version.grid.squares_m(rows)
    for x, y, t in zip(past.x_m, past.y_m, past.time_s, strict=True):
        late = t >= past.end_s - NEAR_DAYS * 86_400
        near += late and shapely.distance(squares, shapely.Point(x, y)).min() <= NEAR_M
    assert found["near"]["n"] == near > 0
    assert str(near) in found["message"]["message"]


def test_readers_get_no_kind_of_too_few_incidents_and_no_numbers():
    version, places = version_of(), [np.array([0]), np.array([5])]
    exact = kinds_of(drawn_past(), version, places, exact=True)
    shown = kinds_of(drawn_past(), version, places, exact=False)
    assert [one["kind"] for one in shown] == [one["kind"] for one in exact]
    assert all(one.keys() == {"kind", "change", "reason"} for one in shown)
    (few,) = kinds_of(drawn_past(), version, places[:1], exact=True)
    least = few["recent"] + few["before"]
    (at,) = kinds_of(drawn_past(minimum=least), version, places[:1], exact=False)
    (above,) = kinds_of(drawn_past(minimum=least + 1), version, places[:1], exact=False)
    assert at["kind"] is not None
    assert (above["kind"], above["reason"]["code"]) == (None, "why_kind_hidden")


def test_cells_are_read_in_order_and_once():
    assert asked_cells(None, "7,3,7") == (3, 7)
    assert Asked(None, asked_cells(4, None), exact=False).cells == (4,)


@pytest.fixture
def known(place, engine, settings):
    """The region with a trained version and a state that stands on later incidents."""
    train(engine, settings, place, "trainer", model="cox")
    upload(place)
    assert refresh(place)["state"] != "frozen"
    with seeing_unreleased(False):
        yield place


def explain(place, role, **params):
    reply = place(role, "GET", "/forecasts/explain", params={"at": AT, **params})
    assert reply.status_code == 200, reply.text
    ExplainReply.model_validate(reply.json())
    return reply.json()


def test_analysts_get_counts_and_leave_a_trace_readers_get_neither(known):
    density = known("reader", "GET", "/forecasts/density", params={"at": AT}).json()["cells"]
    best = int(np.argmax(density["probability"]))
    cell = density["id"][best]
    read = explain(known, "reader", cell=cell)
    assert read["incidents"] is None
    assert read["kind"].keys() == {"kind", "change", "reason"}
    assert "incidents" not in read["sentence"]
    seen = explain(known, "analyst", cell=cell)
    assert seen["parts"] == read["parts"]
    assert {"drift", "state"} < {part["part"] for part in seen["parts"]}
    assert sum(p["log_ratio"] for p in seen["parts"]) == pytest.approx(seen["log_ratio"], abs=1e-9)
    lon, lat = density["longitude"][best], density["latitude"][best]
    half = 0.0018, 0.00118  # less than half a cell
    box = f"{lon - half[0]},{lat - half[1]},{lon + half[0]},{lat + half[1]}"
    until = seen["incidents"]["to"]
    listed = known(
        "analyst",
        "GET",
        "/incidents",
        params={"bbox": box, "datetime": f"../{until}", "limit": 999},
    ).json()["features"]
    assert 0 < len(listed) <= seen["incidents"]["n"] <= len(listed) + 3
    log = known.client.get(
        "/v1/audit?action=place.counted&chain=small", headers=known.headers("admin")
    ).json()["entries"]
    assert len(log) == 1
    assert log[0]["details"] == {"incidents": seen["incidents"]["n"], "cells": 1}


def test_readers_learn_nothing_new_from_sums_of_cells_or_categories(known):
    ids = known("reader", "GET", "/forecasts/density", params={"at": AT}).json()["cells"]["id"]
    several = explain(known, "reader", cells=",".join(map(str, ids[:3])))
    assert several["kind"]["kind"] is None
    assert [one["cell"] for one in several["kinds"]] == ids[:3]
    assert explain(known, "analyst", cells=f"{ids[0]},{ids[1]}")["kind"]["kind"] is not None
    east = explain(known, "reader", cells=",".join(map(str, ids[-60:])))
    rows = [row(START + timedelta(days=30, minutes=k), EAST) for k in range(19)]
    assert known("ingester", "POST", "/incidents", json=rows).json()["accepted"] == 19
    known.client.app.state.forecasts.forget_region("small")
    again = explain(known, "reader", cells=",".join(map(str, ids[-60:])))
    assert again["kinds"] == east["kinds"]
    of_kind = explain(known, "reader", cell=ids[0], category="theft")["kind"]
    assert (of_kind["kind"], of_kind["reason"]["code"]) == (None, "why_kind_of_categories")
