"""What readers see of backtests: groups of twenty incidents or more, and no total with a hidden part."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.support.simulated.small_region import START, backtest, row

ORIGINS = [(START + timedelta(days=d)).isoformat() for d in range(8, 28)]


@pytest.mark.slow
def test_a_hidden_origin_is_not_the_total_minus_the_others(engine, settings, place):
    """M2: twenty origins of a day (10 incidents each), and the same with one more of one incident."""
    at = datetime(2024, 2, 5, 13, 7, tzinfo=UTC)
    place("ingester", "POST", "/incidents", json=[row(at, (10.0512, 50.0312))])
    for origins in (ORIGINS, [*ORIGINS, "2024-02-05T00:00:00+00:00"]):
        result, run = backtest(
            engine, settings, place, "admin", models=["uniform"], origins=origins, horizon_days=1
        )
        told = (result["models"], result["n"], result["counts"], result["origins"])
        assert told == ({}, 0, None, [])
    for door in ("cap", "calibration", "report"):
        reply = place("reader", "GET", f"/backtests/{run['id']}/{door}")
        assert reply.status_code == 200, reply.text
        assert "AUC" not in reply.text.replace("CAP-AUC", "")


@pytest.mark.slow
def test_two_backtests_of_an_analyst_show_readers_nothing_to_subtract(engine, settings, place):
    """The same test periods, and one incident that came between them."""
    weeks = [(START + timedelta(days=d)).isoformat() for d in (8, 15, 22)]
    request = {"origins": weeks, "horizon_days": 7}
    seen, known = [], []
    for _ in range(2):
        result, run = backtest(engine, settings, place, "analyst", **request)
        assert run["status"] == "succeeded"
        del result["provenance"]["created_at"]
        seen.append((result, run["message"], run["progress"]))
        assert "n_incidents" not in result["provenance"]
        exact = place("analyst", "GET", f"/backtests/{run['id']}").json()["result"]
        assert "released" not in exact
        assert "data_hash" in exact["provenance"]
        known.append((exact["n"], exact["provenance"]["n_incidents"]))
        at = START + timedelta(days=10, hours=3)
        place("ingester", "POST", "/incidents", json=[row(at, (10.0512, 50.0312))])
    assert known == [(210, 300), (211, 301)]
    assert seen[0] == seen[1]
    assert (seen[0][0]["models"], seen[0][0]["n"]) == ({}, 0)


@pytest.mark.slow
def test_what_a_few_incidents_are_taken_from_is_left_out_of_backtests(engine, settings, place):
    """One is erased, another corrected: each time its whole part of the release goes."""
    late = [
        {**row(START + timedelta(days=16, minutes=k), (10.0512, 50.0312)), "id": f"a/{k}"}
        for k in range(20)
    ]
    place("ingester", "POST", "/incidents", json=late)
    request = {"origins": [(START + timedelta(days=10)).isoformat()], "horizon_days": 14}
    before, _ = backtest(engine, settings, place, "trainer", **request)
    assert place("admin", "DELETE", "/incidents/a%2F3").status_code == 204
    erased, _ = backtest(engine, settings, place, "trainer", **request)
    assert before["n"] - erased["n"] >= 20
    assert before["provenance"]["n_incidents"] - erased["provenance"]["n_incidents"] >= 20
    again, _ = backtest(engine, settings, place, "trainer", **request)
    assert again["n"] == erased["n"]
    with engine.connect() as connection:
        held = connection.scalars(text("SELECT n FROM release_groups WHERE n IS NULL")).all()
    assert held == [None], "and how many there were is forgotten"


@pytest.mark.slow
def test_a_correction_takes_its_whole_part_out_of_backtests(engine, settings, place):
    known = [{**row(START + timedelta(days=31, minutes=k)), "id": f"b{k}"} for k in range(30)]
    place("ingester", "POST", "/incidents", json=known)
    request = {"origins": [(START + timedelta(days=20)).isoformat()], "horizon_days": 14}
    before, _ = backtest(engine, settings, place, "trainer", **request)
    moved = {**known[4], "longitude": 10.0512}
    assert place("ingester", "POST", "/incidents", json=[moved]).json()["corrected"] == 1
    after, run = backtest(engine, settings, place, "trainer", **request)
    assert run["status"] == "succeeded", run
    assert before["n"] - after["n"] == 30


@pytest.mark.slow
def test_a_trainers_periods_start_and_end_at_releases(engine, settings, place):
    """A second more or less, or a day, must not move single incidents into a test period."""
    seen = []
    for seconds, days in ((1, 7), (3600, 7)):
        origin = (START + timedelta(days=10, seconds=seconds)).isoformat()
        result, _ = backtest(
            engine, settings, place, "trainer", origins=[origin], horizon_days=days
        )
        assert result["origins"] == ["2024-01-11T00:00:00+00:00"]
        seen.append(result["n"])
    assert set(seen) == {60}, "up to the last instant within the week: six of its days"
    longer, _ = backtest(engine, settings, place, "trainer", origins=[origin], horizon_days=8)
    assert longer["n"] == 80
    late = [
        row(START + timedelta(days=12, hours=3, minutes=k), (10.0512, 50.0312)) for k in range(19)
    ]
    place("ingester", "POST", "/incidents", json=late)
    again = [row(START + timedelta(days=2, minutes=k)) for k in range(10)]
    place("ingester", "POST", "/incidents", json=again)
    after, _ = backtest(engine, settings, place, "trainer", origins=[origin], horizon_days=8)
    assert after["n"] == 80, "nineteen that came late to a period are not enough to show in it"
