"""Live scores say what the states that served were worth, by how far ahead they had to look."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.monitoring.live_scores import live_report, update_scores
from app.monitoring.state_scores import gains_of_states
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.new_incidents import new_incidents
from app.states.service import assimilate
from tests.support.simulated.small_region import START, place, row, train

__all__ = ["place"]
EAST = (10.0505, 50.0205)
NOW = START + timedelta(days=60)


def upload(place, day, hour=0, n=30):
    at = START + timedelta(days=day, hours=hour)
    rows = [row(at + timedelta(minutes=7 * k), EAST) for k in range(n)]
    assert place("ingester", "POST", "/incidents", json=rows).json()["accepted"] == n


@pytest.fixture
def watched(engine, settings, place):
    """A version with a state of day 31, made that night, and incidents at its place until day 45."""
    version, _ = train(engine, settings, place, "trainer")
    upload(place, 31)
    assimilate(engine, "small")
    made_at = START + timedelta(days=32, hours=1)
    with engine.begin() as connection:
        connection.execute(text("UPDATE forecast_states SET created_at = :at"), {"at": made_at})
    for day in (31, 33, 45):
        upload(place, day, hour=12)
    return version


def test_days_are_scored_by_the_state_that_served_when_they_began(engine, watched):
    with engine.connect() as connection:
        region = get_region(connection, "small")
        version = registry.get_version(connection, region.key, watched)
        grid, _ = registry.grid_of(connection, version)
        found = new_incidents(connection, region, version, grid, START).inside()
        place = region.key, watched, registry.ALL_CATEGORIES
        tables = registry.read_probabilities(connection, *place, range(168)).astype(float)
        days = [(START + timedelta(days=d)).date() for d in (31, 32, 33, 45)]
        gains = gains_of_states(connection, region, version, tables, found, days)
    assert list(gains) == days[2:], "on day 31 there was no state, on day 32 no incident"
    (near, near_lead), (far, far_lead) = gains.values()
    assert (near_lead, far_lead) == (1, 13)
    assert near > far > 0


def test_the_report_has_them_for_those_who_list_incidents(engine, watched):
    with engine.begin() as connection:
        region = get_region(connection, "small")
        version = registry.get_version(connection, region.key, watched)
        assert update_scores(connection, region, version, NOW.astimezone(UTC)) > 0
    report = live_report(engine, "small", watched)
    worth = report["states_minus_frozen"]
    assert worth["mean"] > 0
    assert (worth["n"], worth["days"]) == (60, 2)
    assert [one["lead_days"] for one in report["states_by_lead"]] == [[0, 1], [8, 28]]
    assert "states_minus_frozen" not in live_report(engine, "small", watched, exact=False)


def test_over_http_readers_get_no_scores_of_single_days(engine, place, watched):
    with engine.begin() as connection:
        region = get_region(connection, "small")
        version = registry.get_version(connection, region.key, watched)
        update_scores(connection, region, version, datetime.now(UTC))
    path = f"/models/{watched}/live-scores"
    reply = place("analyst", "GET", path)
    assert reply.status_code == 200, reply.text
    assert place("reader", "GET", path).json().get("states_minus_frozen") is None
