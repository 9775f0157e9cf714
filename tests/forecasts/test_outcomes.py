"""Past forecasts against what happened: counted again, incident by incident, from the database."""

import json
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sqlalchemy import text

from app.core.errors import InvalidInput, LimitExceeded
from app.forecasts.outcomes import MAX_DAYS, outcomes_geojson
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.regions.learning_policy import LearningPolicy
from app.regions.service import remove_policy, set_policy
from tests.support.services.served import NEW

START, END = NEW + timedelta(hours=3), NEW + timedelta(days=4)
TOP = 10.0


@pytest.fixture(scope="module")
def service(served, settings):
    return ForecastService(served.engine, settings)


@pytest.fixture(scope="module")
def happened(served):
    """Row of the cell and window of each incident of the range that lies in a cell."""
    with served.engine.connect() as connection:
        rows = connection.execute(
            text(
                'SELECT x_m, y_m, "window" FROM incidents WHERE occurred_at >= :a AND occurred_at < :b'
            ),
            {"a": START, "b": END},
        ).all()
    x_m, y_m, window = np.array(rows).T
    cells = served.grid.locate(x_m, y_m)
    assert len(cells) > 30
    return cells[cells >= 0], window[cells >= 0].astype(int)


def outcomes(service, top=TOP, **selector):
    body, head = outcomes_geojson(service, "town", Selector(**selector), top)
    told = json.loads(body)
    assert told["hits"] == head["hits"]
    return told


def is_hit(served, happened, top=TOP):
    """Whether each incident lies in one of the densest cells of its hour."""
    n_top = int(len(served.grid) * top / 100)
    best = np.argsort(-served.tables, axis=1, kind="stable")[:, :n_top]
    return np.array([cell in best[window] for cell, window in zip(*happened, strict=True)])


def test_hits_are_incidents_in_the_densest_cells_of_their_hours(service, served, happened):
    told = outcomes(service, start=START, end=END)
    hit = is_hit(served, happened)
    assert 0 < hit.sum() < len(hit)
    assert (told["incidents"], told["hits"]) == (len(hit), hit.sum())
    assert told["hit_rate"] == pytest.approx(hit.mean())
    assert told["model_version"].startswith("truth-20191225")
    assert told["in_sample"] is False
    counted = {
        one["id"]: (
            one["properties"]["incidents"],
            one["properties"]["hits"],
            one["properties"]["misses"],
        )
        for one in told["features"]
    }
    ids = served.grid.cell_id[happened[0]]
    assert counted == {
        int(cell): ((ids == cell).sum(), hit[ids == cell].sum(), (~hit[ids == cell]).sum())
        for cell in np.unique(ids)
    }


def test_the_last_of_the_densest_cells_counts_and_the_next_does_not(service, served, happened):
    for top in range(1, 40, 2):
        told = outcomes(service, top, start=START, end=END)
        assert told["hits"] == is_hit(served, happened, top).sum(), top


def test_a_box_restricts_what_happened_and_not_the_densest_cells(service, served, happened):
    bounds = served.client.get("/v1/regions/town/tiles/tilejson.json?window=0").json()["bounds"]
    west, south, east, north = bounds
    halves = [(west, south, (west + east) / 2, north), ((west + east) / 2, south, east, north)]
    told = [outcomes(service, start=START, end=END, bbox=half) for half in halves]
    whole = outcomes(service, start=START, end=END)
    for member in ("incidents", "hits"):
        assert sum(half[member] for half in told) == whole[member]
        assert all(half[member] < whole[member] for half in told)
    assert told[0]["share_of_cells"] == whole["share_of_cells"]


def test_without_a_range_the_last_seven_days_are_compared(service, served):
    told = outcomes(service)
    with served.engine.connect() as connection:
        last = connection.scalar(text("SELECT max(occurred_at) FROM incidents"))
    begin, end = (datetime.fromisoformat(told[name]) for name in ("from", "to"))
    assert end - begin == timedelta(days=7)
    assert last < end <= last + timedelta(hours=1)


def test_an_honest_version_is_taken_where_there_is_one(service):
    before = datetime(2019, 12, 10, tzinfo=UTC)
    honest = outcomes(service, start=before, end=before + timedelta(days=1))
    assert (honest["model_version"][:14], honest["in_sample"]) == ("truth-20191201", False)
    early = before - timedelta(days=60)
    known = outcomes(service, start=early, end=early + timedelta(days=1))
    assert (known["model_version"][:14], known["in_sample"]) == ("truth-20191225", True)


def test_cells_of_few_incidents_are_hidden_and_counted(service, served, happened):
    before = outcomes(service, start=START, end=END)
    set_policy(served.engine, "town", LearningPolicy(minimum_count=3))
    try:
        told = outcomes(service, start=START, end=END)
    finally:
        remove_policy(served.engine, "town")
    n = np.bincount(happened[0])
    assert len(told["features"]) == (n >= 3).sum() < len(before["features"])
    assert told["hidden_cells"] == ((n > 0) & (n < 3)).sum()
    assert told["hits"] == before["hits"]


def test_ranges_that_say_nothing_or_too_much_are_refused(service):
    for selector in ({"at": START}, {"window": 3}):
        with pytest.raises(InvalidInput, match="outcomes need a range"):
            outcomes(service, **selector)
    with pytest.raises(InvalidInput, match="exactly one of"):
        outcomes(service, shift="night", start=START, end=END)
    with pytest.raises(InvalidInput, match="date needs a shift"):
        outcomes(service, start=START, end=END, day=START.date())
    with pytest.raises(LimitExceeded, match=f"{MAX_DAYS + 1} days, the limit is {MAX_DAYS}"):
        outcomes(service, start=START, end=START + timedelta(days=MAX_DAYS + 1))


def test_a_shift_has_the_outcomes_of_its_hours(service, served):
    local = ZoneInfo(served.client.get("/v1/regions/town").json()["timezone"])
    day = NEW.astimezone(local).date() + timedelta(days=1)
    begin = datetime.combine(day, time(22), local)
    of_range = outcomes(service, start=begin, end=begin + timedelta(hours=8))
    of_shift = outcomes(service, shift="night", day=day)
    assert of_shift["shift"] == "night"
    for member in ("from", "to", "incidents", "hits", "features", "cap_curve", "model_version"):
        assert of_shift[member] == of_range[member], member
    assert of_shift["incidents"] > 0
    with served.engine.connect() as connection:
        last = connection.scalar(text("SELECT max(occurred_at) FROM incidents"))
    told = outcomes(service, shift="night")
    begin, end = (datetime.fromisoformat(told[name]) for name in ("from", "to"))
    assert (begin.hour, end.hour, end - begin) == (22, 6, timedelta(hours=8))
    assert end <= last + timedelta(hours=1) < end + timedelta(days=1)


def test_an_interval_is_a_hit_by_the_share_of_its_hours(service, served, happened):
    whole = outcomes(service, start=START, end=END)
    with served.engine.begin() as connection:
        connection.execute(
            text("UPDATE incidents SET occurred_to = occurred_at + interval '7 hours'")
        )
    try:
        told = outcomes(service, start=START, end=END)
    finally:
        with served.engine.begin() as connection:
            connection.execute(text("UPDATE incidents SET occurred_to = NULL"))
    assert told["incidents"] == whole["incidents"]
    assert told["hits"] != whole["hits"]
    assert told["hits"] == pytest.approx(
        sum(f["properties"]["hits"] for f in told["features"]), abs=0.01
    )
    n_top = int(len(served.grid) * TOP / 100)
    best = np.argsort(-served.tables, axis=1, kind="stable")[:, :n_top]
    is_top = np.array(
        [[cell in best[(w + k) % 168] for k in range(8)] for cell, w in zip(*happened, strict=True)]
    )
    least, most = is_top.all(axis=1).sum(), is_top.any(axis=1).sum()
    assert least < told["hits"] < most
