"""Live scores of few incidents are not told: a single one's log density would tell its cell."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.services import monitor
from app.services.jobs import run_now
from app.services.train import TrainingRequest
from app.storage import live_scores as store
from app.storage import registry
from app.storage.live_scores import LiveDay
from app.storage.regions import get_region

FLOOR = 20
MONDAY = date(2020, 1, 6)
PER_INCIDENT = -1.23456789


@pytest.fixture(scope="module")
def versions(engine, settings, town):
    """The champion and a challenger."""
    made = []
    for model in ("uniform", "pooled-kde"):
        request = TrainingRequest(model, until=datetime(2019, 12, 1, tzinfo=UTC), validate=False)
        run = run_now(engine, settings, town, request, lambda _s, _m: None)
        assert run.status == "succeeded", run.message
        made.append(run.model_version)
    return made


def told(engine, settings, town, versions, counts):
    """The report of the challenger when so many incidents came on the first days of as many weeks."""
    with engine.begin() as connection:
        key = get_region(connection, town).key
        for name, off in zip(versions, (0.1, 0.0), strict=True):
            store.drop_days(
                connection, key, name, [d.day for d in store.read_days(connection, key, name)]
            )
            days = [
                LiveDay(MONDAY + timedelta(weeks=k), n, n, n * (PER_INCIDENT - off), -1.0 * n)
                for k, n in enumerate(counts)
            ]
            store.put_days(connection, key, name, days)
    with TestClient(create_app(settings, engine)) as client:
        reply = client.get(f"/v1/regions/{town}/models/{versions[1]}/live-scores")
    assert reply.status_code == 200, reply.text
    return reply.json()


HIDDEN = ("log_score", "expected_log_score", "difference_to_champion")


@pytest.mark.parametrize("counts", [[1], [FLOOR - 1], [1, 3, 5]])
def test_fewer_than_the_floor_tell_their_number_alone(engine, settings, town, versions, counts):
    report = told(engine, settings, town, versions, counts)
    assert report["n"] == sum(counts)
    for part in (report, *report["weeks"]):
        assert {part[name] for name in HIDDEN} == {None}


def test_from_the_floor_on_rounded_means_are_told_and_small_weeks_are_not(
    engine, settings, town, versions
):
    report = told(engine, settings, town, versions, [FLOOR, FLOOR - 1])
    first, second = report["weeks"]
    for part in (report, first):
        assert part["log_score"] == round(PER_INCIDENT, 3), "one more would tell its own"
        assert part["expected_log_score"] == -1.0
        assert part["difference_to_champion"]["mean"] == 0.1
    assert {second[name] for name in HIDDEN} == {None}


@pytest.mark.parametrize(("n", "shown"), [(1, None), (FLOOR - 1, None), (FLOOR, -1.335)])
def test_metrics_keep_to_the_floor_too(engine, settings, town, versions, n, shown):
    told(engine, settings, town, versions, [n])
    with TestClient(create_app(settings, engine)) as client:
        lines = client.get("/metrics").text.splitlines()
    found = [line.split()[-1] for line in lines if line.startswith("hotslot_live_log_score{")]
    assert found == ([] if shown is None else [str(shown)])


@pytest.mark.parametrize("n", [1, FLOOR])
def test_looks_and_alarms_keep_to_the_floor_too(engine, settings, town, versions, n):
    told(engine, settings, town, versions, [n])
    period = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 29, tzinfo=UTC))
    with engine.begin() as connection:
        key = get_region(connection, town).key
        record = registry.get_version(connection, key, versions[1])
        scores = {"place_reference": {"n": [n], "total": [0.1234567 * n]}}
        look = monitor._place_check(connection, replace(record, scores=scores), 28, period)
    few = n < FLOOR
    assert look.details["observed"] == (None if few else round(PER_INCIDENT + 1, 3))
    assert look.details["expected"] == (None if few else 0.123)
    assert ("too few to tell" in look.details["message"]) == few
