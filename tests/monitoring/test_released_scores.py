"""Live scores reach readers once a week, over twenty incidents or more, and never change."""

from datetime import UTC, date, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.access.service import NewKey, create_key
from app.main import create_app
from app.monitoring import live_score_store as store
from app.monitoring.live_score_store import LiveDay
from app.monitoring.released_score_store import Period, add_periods, common, read_periods
from app.monitoring.released_scores import release_scores
from app.regions.store import get_region
from app.registry.alarms import Check, raise_alarm, record_check
from app.training.service import TrainingRequest
from app.worker.jobs import run_now

FLOOR = 20
MONDAY = date(2020, 1, 6)
LATER = datetime(2020, 6, 1, tzinfo=UTC)
PER_INCIDENT = -1.23456789
HIDDEN = ("log_score", "expected_log_score", "difference_to_champion")


@pytest.fixture(scope="module")
def versions(engine, settings, town):
    """The champion and a challenger, which readers see."""
    made = []
    for model in ("uniform", "pooled-kde"):
        run = run_now(
            engine, settings, town, TrainingRequest(model, validate=False), lambda *_: None
        )
        assert run.status == "succeeded", run.message
        made.append(run.model_version)
    return made


@pytest.fixture(scope="module")
def ask(engine, settings, town, versions):
    keys = {
        r: create_key(engine, NewKey("t", (r,), rate_per_s=0)).text for r in ("reader", "analyst")
    }
    with TestClient(create_app(settings, engine)) as client:

        def get(role, path):
            reply = client.get(path, headers={"X-API-Key": keys[role]})
            assert reply.status_code == 200, reply.text
            return reply

        yield get


@pytest.fixture
def scored(engine, town, versions):
    """Score so many incidents on the first days of as many weeks; what was released before goes."""

    def put(counts, now=LATER, *, keep=False):
        with engine.begin() as connection:
            region = get_region(connection, town)
            if not keep:
                connection.execute(text("TRUNCATE released_scores, live_scores"))
            for name, off in zip(versions, (0.1, 0.0), strict=True):
                days = [
                    LiveDay(MONDAY + timedelta(weeks=k), n, n, n * (PER_INCIDENT - off), -1.0 * n)
                    for k, n in enumerate(counts)
                ]
                store.put_days(connection, region.key, name, days)
                release_scores(connection, region, name, now)

    return put


def live(ask, town, versions, role="reader"):
    return ask(role, f"/v1/regions/{town}/models/{versions[1]}/live-scores").json()


@pytest.mark.parametrize("counts", [[1], [FLOOR - 1], [1, 3, 5]])
def test_fewer_than_the_floor_are_not_released(ask, town, versions, scored, counts):
    scored(counts)
    report = live(ask, town, versions)
    assert report["n"] == 0
    assert report["weeks"] == []
    assert {report[name] for name in HIDDEN} == {None}
    exact = live(ask, town, versions, "analyst")
    assert exact["n"] == sum(counts)
    assert exact["log_score"] == pytest.approx(PER_INCIDENT)


def test_small_weeks_join_the_next_and_totals_are_of_what_is_released(ask, town, versions, scored):
    scored([FLOOR, 5, FLOOR - 5, FLOOR - 1])
    report = live(ask, town, versions)
    spans = [(w["from"], w["to"], w["n"]) for w in report["weeks"]]
    assert spans == [("2020-01-06", "2020-01-13", 20), ("2020-01-13", "2020-01-27", 20)]
    assert report["n"] == 40, "the last week is no remainder of a total"
    for part in (report, *report["weeks"]):
        assert part["log_score"] == round(PER_INCIDENT, 3)
        assert part["difference_to_champion"]["mean"] == 0.1


def test_what_is_released_does_not_change_and_a_week_under_way_is_not(ask, town, versions, scored):
    """H2: one more incident, in an old week or in the present one, changes nothing that readers see."""
    now = datetime(2020, 1, 22, tzinfo=UTC)
    scored([FLOOR, FLOOR, FLOOR], now)
    before = live(ask, town, versions)
    assert [w["from"] for w in before["weeks"]] == ["2020-01-06", "2020-01-13"]
    scored([FLOOR + 1, FLOOR, FLOOR], now, keep=True)
    scored([FLOOR + 1, FLOOR, FLOOR + 1], now, keep=True)
    assert live(ask, town, versions) == before
    assert live(ask, town, versions, "analyst")["n"] == 62


@pytest.mark.parametrize(("n", "shown"), [(1, None), (FLOOR - 1, None), (FLOOR, -1.335)])
def test_metrics_keep_to_what_is_released(ask, scored, n, shown):
    scored([n])
    lines = ask("reader", "/metrics").text.splitlines()
    found = [line.split()[-1] for line in lines if line.startswith("hotslot_live_log_score{")]
    assert found == ([] if shown is None else [str(shown)])


def test_looks_and_alarms_show_readers_their_outcome_alone(ask, engine, town, versions):
    details = {"message": "thinner", "observed": -1.2345678, "expected": -1.0, "days": 7}
    check = Check("place", 7, 0.0123456789, True, details)
    with engine.begin() as connection:
        key = get_region(connection, town).key
        record_check(connection, key, versions[0], check, LATER)
        raise_alarm(connection, key, versions[0], check, LATER)
    path = f"/v1/regions/{town}/alarms"
    shown = ask("reader", path)
    assert shown.json()["alarms"][0]["message"] == "thinner"
    assert not any(part in shown.text for part in ("1.2345678", "0.0123456789", "observed"))
    exact = ask("analyst", path).json()
    assert exact["looks"][0]["p_value"] == 0.0123456789
    assert exact["alarms"][0]["details"]["observed"] == -1.2345678


def week(k, n=FLOOR, score=-1.0):
    begin = MONDAY + timedelta(weeks=k)
    return Period(begin, begin + timedelta(weeks=1), n, n * score, n * -1.0)


def test_a_period_is_written_once_and_read_in_order(engine, town, versions):
    one, other = versions
    with engine.connect() as connection:
        key = get_region(connection, town).key
        connection.execute(text("TRUNCATE released_scores"))
        add_periods(connection, key, one, [week(2), week(0)])
        add_periods(connection, key, one, [week(0, 99, -7.0), week(1)])
        add_periods(connection, key, one, [])
        assert read_periods(connection, key, one) == [week(0), week(1), week(2)]
        assert read_periods(connection, key, other) == []
        connection.rollback()


def test_versions_are_compared_on_equal_periods_alone():
    longer = Period(MONDAY + timedelta(weeks=2), MONDAY + timedelta(weeks=4), FLOOR, -20.0, -20.0)
    mine, theirs = (
        [week(0), week(1, 25), week(2), week(5)],
        [week(1, 26), week(0, score=-2.0), longer],
    )
    assert common(mine, theirs) == [(week(0), week(0, score=-2.0))]
