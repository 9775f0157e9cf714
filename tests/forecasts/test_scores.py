"""Scores of incidents: in bulk, equal to the table, within their limit."""

import numpy as np
import pytest
from sqlalchemy import select

from app.core.db.tables import model_versions

SCORE = "/v1/regions/town/forecasts/score"
N = 20_000


@pytest.mark.slow
def test_twenty_thousand_scores_are_those_of_the_table(served):
    rng = np.random.default_rng(4)
    grid = served.grid
    rows = rng.integers(0, len(grid), N)
    density = served.client.get("/v1/regions/town/forecasts/density?window=0").json()["cells"]
    longitude, latitude = np.array(density["longitude"])[rows], np.array(density["latitude"])[rows]
    hours = rng.integers(0, 168, N)
    monday = np.datetime64("2019-12-30T00:30")
    times = np.datetime_as_string(monday + hours.astype("timedelta64[h]"), unit="s").tolist()
    incidents = [
        {"occurred_at": at, "longitude": x, "latitude": y}
        for at, x, y in zip(times, longitude.tolist(), latitude.tolist(), strict=True)
    ]
    incidents.append({"occurred_at": times[0], "longitude": 0.0, "latitude": 0.5})
    reply = served.client.post(SCORE, json={"incidents": incidents})
    assert reply.status_code == 200, reply.text[:300]
    *scores, outside = reply.json()["scores"]
    assert (outside["cell"], outside["percentile"]) == (None, 0)
    assert [score["window"] for score in scores] == hours.tolist()
    cells = np.array([-1 if s["cell"] is None else s["cell"] for s in scores])
    inside = cells >= 0  # a clipped cell's middle may lie outside by rounding
    assert inside.mean() > 0.99
    assert (cells[inside] == grid.cell_id[rows[inside]]).mean() > 0.99
    own = np.searchsorted(grid.cell_id, cells[inside])
    per_km2 = served.tables / grid.area_km2
    found = np.array([s["log_density_per_km2"] for s in scores if s["cell"] is not None])
    np.testing.assert_allclose(found, np.log(per_km2[hours[inside], own]), atol=1e-4)
    place = int(np.flatnonzero(inside)[0])
    table, mine = served.tables[hours[place]], per_km2[hours[place]]
    no_denser = table[mine <= mine[own[0]] * (1 + 1e-6)].sum()
    assert scores[place]["percentile"] == pytest.approx(100 * no_denser, abs=1e-3)


@pytest.mark.slow
def test_the_limit_is_answered_and_one_more_is_refused_with_it(served):
    one = '{"occurred_at":"2019-12-31T23:10:00Z","longitude":-74.06,"latitude":4.66}'
    headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}

    def posted(n):
        body = '{"incidents":[' + ",".join([one] * n) + "]}"
        return served.client.post(SCORE, content=body, headers=headers)

    reply = posted(100_000)
    assert (reply.status_code, reply.headers["Content-Encoding"]) == (200, "gzip")
    scores = reply.json()["scores"]
    assert len(scores) == 100_000
    assert scores[-1] == scores[0]
    problem = posted(100_001).json()
    assert (problem["status"], problem["limit"], problem["asked"]) == (422, 100_000, 100_001)


def test_a_hundred_thousand_faults_are_told_by_the_first(served):
    body = '{"incidents":[' + ",".join(["{}"] * 100_000) + "]}"
    reply = served.client.post(SCORE, content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 422
    assert reply.json()["field"].startswith("incidents.0.")
    assert len(reply.content) < 2_000


def scored(served, **times):
    one = {"longitude": -74.06, "latitude": 4.66, **times}
    return served.client.post(SCORE, json={"incidents": [one]})


def test_an_interval_is_scored_over_all_its_hours_by_the_forecasts_rates(served):
    hours = [
        scored(served, occurred_at=f"2019-12-31T{hour:02d}:10:00").json()["scores"][0]
        for hour in range(8, 12)
    ]
    reply = scored(
        served, occurred_from="2019-12-31T08:30:00", occurred_to="2019-12-31T12:00:00"
    ).json()
    (found,) = reply["scores"]
    assert found["window"] is None
    assert found["cell"] == hours[0]["cell"]
    with served.engine.connect() as connection:
        counts = connection.execute(
            select(model_versions.c.counts).where(
                model_versions.c.version == reply["model_version"]
            )
        ).scalar_one()
    weight = np.array([counts["profile"][24 + hour] for hour in range(8, 12)]) * [0.5, 1, 1, 1]
    density = [np.exp(one["log_density_per_km2"]) for one in hours]
    expected = np.log(np.average(density, weights=weight))
    assert found["log_density_per_km2"] == pytest.approx(expected, abs=1e-6)


def test_an_interval_within_an_hour_is_an_exact_time(served):
    exact = scored(served, occurred_at="2019-12-31T08:10:00").json()["scores"]
    within = scored(
        served, occurred_from="2019-12-31T08:00:00", occurred_to="2019-12-31T09:00:00"
    ).json()["scores"]
    assert within == exact


@pytest.mark.parametrize(
    ("times", "problem"),
    [
        ({}, "give occurred_at, or both"),
        ({"occurred_from": "2019-12-31T08:00:00"}, "give occurred_at, or both"),
        (
            {"occurred_from": "2019-12-31T08:00:00", "occurred_to": "2019-12-31T07:00:00"},
            "occurred_to lies before occurred_from",
        ),
        (
            {"occurred_from": "2019-10-31T08:00:00", "occurred_to": "2019-12-31T07:00:00"},
            "longer than 31 days",
        ),
    ],
)
def test_wrong_intervals_are_refused(served, times, problem):
    reply = scored(served, **times)
    assert reply.status_code == 422
    assert problem in reply.text


def test_intervals_may_not_touch_a_million_hours(served):
    month = {"occurred_from": "2019-12-01T00:00:00", "occurred_to": "2020-01-01T00:00:00"}
    one = {"longitude": -74.06, "latitude": 4.66, **month}
    reply = served.client.post(SCORE, json={"incidents": [one] * 1_400})
    assert reply.status_code == 422
    assert reply.json()["limit"] == 1_000_000
