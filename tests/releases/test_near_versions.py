"""Nothing that readers see, of whatever kind, moves by a few incidents."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from app.monitoring.metrics import INGEST_LAG, refresh_metrics
from app.monitoring.schedules.service import tick
from app.monitoring.service import monitor_region
from app.regions.store import get_region
from app.registry.alarms import Check, raise_alarm
from tests.support.simulated.small_region import START, backtest, row, train

NEXT = START + timedelta(days=31)


def names(place, role="reader"):
    return {one["version"] for one in place(role, "GET", "/models").json()["models"]}


@pytest.mark.parametrize("known", ["discovered by patrols", "a kind left out"])
def test_a_release_that_a_model_learns_little_of_makes_no_version_for_readers(
    engine, settings, place, known
):
    """Nineteen that a version leaves out hide the one that it learns from."""
    first, _ = train(engine, settings, place, "trainer")
    options = {
        "discovered by patrols": {"source": "discovered"},
        "a kind left out": {"category": "Drugs possession"},
    }[known]
    many = [{**row(NEXT + timedelta(minutes=k)), **options} for k in range(30)]
    victim = row(NEXT + timedelta(hours=7), (10.0512, 50.0312))
    assert place("ingester", "POST", "/incidents", json=[*many, victim]).json()["accepted"] == 31
    second, _ = train(engine, settings, place, "trainer")
    exact = place("analyst", "GET", f"/models/{second}").json()
    assert exact["n_incidents"] == 301
    assert names(place) == {first}
    place(
        "ingester",
        "POST",
        "/incidents",
        json=[row(NEXT + timedelta(days=1, minutes=k)) for k in range(20)],
    )
    third, _ = train(engine, settings, place, "trainer")
    assert names(place) == {first, third}


@pytest.mark.slow
def test_which_versions_had_learnt_from_what_is_erased_is_for_who_lists(engine, settings, place):
    """Marks would tell the day and the kind: the versions before it, and of other kinds, bear none."""
    known = [{**row(NEXT + timedelta(minutes=k)), "id": f"a/{k}"} for k in range(30)]
    train(engine, settings, place, "trainer")
    place("ingester", "POST", "/incidents", json=known)
    train(engine, settings, place, "trainer")
    place("admin", "DELETE", "/incidents/a%2F3")
    marks = {
        role: sorted(
            one["erased_incidents"] for one in place(role, "GET", "/models").json()["models"]
        )
        for role in ("reader", "trainer", "analyst")
    }
    assert marks == {"reader": [1, 1], "trainer": [1, 1], "analyst": [0, 1]}


@pytest.mark.slow
def test_news_of_what_has_come_does_not_follow_corrections(engine, settings, place):
    train(engine, settings, place, "trainer")
    for day in range(2):
        known = [
            {**row(NEXT + timedelta(days=day, minutes=k)), "id": f"{day}/{k}"} for k in range(30)
        ]
        place("ingester", "POST", "/incidents", json=known)
        train(engine, settings, place, "trainer")
    versions = sorted(names(place))

    def news():
        time.sleep(0.3)  # replies are repeated for a quarter of a second
        brief = place.client.app.state.forecasts.brief
        for version in versions:
            brief.forget("released news", f"small/{version}")
        asked = "/forecasts/density?at=2024-02-10T10:00&model="
        return [
            [
                w
                for w in place("reader", "GET", asked + v).json()["warnings"]
                if w["code"] == "new_incidents"
            ]
            for v in versions
        ]

    before = news()
    assert [w["params"]["n"] for one in before for w in one] == [60, 30]
    place("ingester", "POST", "/incidents", json=[{**known[4], "longitude": 10.0512}])
    assert [w["params"]["n"] for one in news() for w in one] == [30], "its whole part is left out"


def test_metrics_do_not_show_the_day_of_a_single_incident(engine, settings, place):
    with engine.connect() as connection:
        key = get_region(connection, "small").key
    lags = []
    for _ in range(2):
        place("reader", "GET", "")
        monitor_region(engine, key, datetime.now(UTC))
        refresh_metrics(engine, 60)
        (sample,) = (s for s in INGEST_LAG.collect()[0].samples if s.labels["region"] == "small")
        lags.append(sample.value)
        place("ingester", "POST", "/incidents", json=[row(NEXT + timedelta(days=200))])
    assert abs(lags[0] - lags[1]) < 3600


def test_a_schedule_does_not_count_what_is_not_released(engine, settings, place):
    """A trainer who moves the number would find how many have come, one by one."""
    train(engine, settings, place, "trainer")
    more = [row(NEXT + timedelta(minutes=k)) for k in range(25)]
    place("ingester", "POST", "/incidents", json=more)
    place("reader", "GET", "")
    place("ingester", "POST", "/incidents", json=[row(NEXT + timedelta(days=1))])
    for number, queued in ((26, 0), (25, 1)):
        place("trainer", "PUT", "/schedule", json={"model": "pooled-kde", "new_incidents": number})
        assert len(tick(engine, datetime.now(UTC) + timedelta(hours=2))) == queued


@pytest.mark.slow
def test_cells_of_another_size_test_on_the_same_incidents(engine, settings, place):
    """At the edge of a region some lie in cells of one size and in none of another."""
    edge = [
        row(START + timedelta(days=20, minutes=k), (10.0 + 0.002 * k, 50.00000001))
        for k in range(25)
    ]
    place("ingester", "POST", "/incidents", json=edge)
    origins = [(START + timedelta(days=14)).isoformat()]
    found = {
        backtest(engine, settings, place, "trainer", origins=origins, cell_size_m=size)[0]["n"]
        for size in (None, 103.0, 177.7, 400.0, 933.0)
    }
    assert len(found) == 1


def test_a_failed_run_of_who_lists_incidents_tells_readers_no_reason(engine, settings, place):
    """What it says may count incidents, or name the hour at which they end."""
    late = (START + timedelta(days=300)).isoformat()
    _, run = backtest(engine, settings, place, "admin", origins=[late])
    assert (run["status"], run["message"]) == ("failed", "failed")
    listed = place("reader", "GET", "/backtests").json()["backtests"]
    assert [one["message"] for one in listed] == ["failed"]
    assert [one["said"]["code"] for one in listed] == ["run_failed"]
    assert listed[0]["said"]["params"] == {}
    assert "no_incidents" in place("analyst", "GET", "/backtests").json()["backtests"][0]["message"]


def test_alarms_tell_readers_no_numbers(engine, settings, place):
    """An alarm on few incidents would count them."""
    version, _ = train(engine, settings, place, "trainer")
    check = Check(
        "volume", 7, 1e-9, True, {"message": "13 incidents in the 7 days", "observed": 13}
    )
    with engine.begin() as connection:
        key = get_region(connection, "small").key
        raise_alarm(connection, key, version, check, datetime.now(UTC))
    density = "/forecasts/density?at=2024-02-10T10:00"
    for role, told in (("analyst", True), ("reader", False), ("trainer", False)):
        (alarm,) = place(role, "GET", "/alarms").json()["alarms"]
        found = place(role, "GET", density).json()["warnings"]
        warnings = " ".join(warning["message"] for warning in found)
        assert "volume alarm: " in warnings
        assert ("13 incidents" in alarm["message"], "13 incidents" in warnings) == (told, told)
