"""Reads from a real streaming replica: its replay is paused, it is stopped, and it is not one at all."""

import logging
import re
import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text

from app.core.db import replica as module
from app.core.db.engine import open_engine
from app.core.db.replica import may_read_replica, with_replica
from app.core.db.schema import migrate
from app.core.devserver.server import ensure_running, release
from app.core.errors import Unavailable
from app.core.settings import Settings
from app.doctor.service import examine
from app.main import create_app
from app.openapi import HotslotApi
from app.regions.service import add_region
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from tests.support.services.replicas import replicate
from tests.support.services.service import short_serve
from tests.support.simulated.town import add_town

START = datetime(2023, 5, 1, tzinfo=UTC)
MAY_ADVANCE = [
    "/v1/regions/town", "/v1/regions/town/categories", "/v1/regions/town/learning-policy",
    "/v1/regions/town/models", "/v1/regions/town/forecasts/outcomes",
]  # fmt: skip
"""Reads that may store a new release of the region for readers: only the primary takes that."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    made = tmp_path_factory.mktemp("replicated")
    yield made
    release(made)


@pytest.fixture(scope="module")
def primary(home, town_csv):
    ensure_running(home)
    settings = Settings(home=home, training_threads=1, allowed_hosts=["testserver"])
    engine = open_engine(settings)
    migrate(engine)
    add_town(engine, settings, town_csv)
    for region in ("here", "there"):
        add_region(engine, region, timezone="UTC")
    run = run_now(
        engine, settings, "town", TrainingRequest("uniform", validate=False), lambda *_: None
    )
    assert run.status == "succeeded", run.message
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def standby(home, primary):
    made = replicate(home)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def settings(home, standby):
    return Settings(
        home=home,
        read_database_url=SecretStr(standby.url),
        training_threads=1,
        allowed_hosts=["testserver"],
    )


@pytest.fixture
def processes(settings, primary, standby, monkeypatch):
    """Two API processes, with their engines; a fault of the replica is forgotten at once."""
    monkeypatch.setattr(module, "REST_S", 0.0)
    standby.catch_up()
    with (
        TestClient(create_app(settings, primary)) as one,
        TestClient(create_app(settings, primary)) as other,
    ):
        yield one, other


def engine_of(client):
    return client.app.state.hotslot.engine


def served(client, path, **options):
    """The reply, and whether any of it came from the replica."""
    before = engine_of(client).replica.n_served
    reply = client.get(path, **options)
    assert reply.status_code == 200, reply.text
    return reply, engine_of(client).replica.n_served > before


def without_clock(reply):
    """The body, but for the time at which a feature collection was made."""
    return re.sub(rb'"(timeStamp|generated_at)":"[^"]*"', b"", reply.content)


def upload(client, region, day):
    at = START + timedelta(days=day)
    row = {"occurred_at": at.isoformat(), "lon": 10.05, "lat": 50.02, "category": f"c{day}"}
    reply = client.post(f"/v1/regions/{region}/incidents", json=[row])
    assert reply.json()["accepted"] == 1, reply.text


def days_of(client, region):
    reply, from_replica = served(client, f"/v1/regions/{region}/incidents")
    found = {each["properties"]["occurred_at"][:10] for each in reply.json()["features"]}
    return found, from_replica


@pytest.mark.slow
def test_every_read_gives_the_same_from_the_replica(primary, standby, settings):
    plain = TestClient(create_app(settings.model_copy(update={"read_database_url": None}), primary))
    at = {"at": "2020-01-06T12:00:00Z"}
    asked = [
        ("/v1/regions", {}),
        ("/v1/regions/town", {}),
        *((f"/v1/regions/town/{name}", {}) for name in (
            "alarms", "categories", "incidents", "learning-policy", "mappings", "models", "presence", "state",
        )),
        *((f"/v1/regions/town/forecasts/{name}", at) for name in (
            "density", "hotspots", "outcomes", "series", "zones", "samples",
        )),
        ("/v1/regions/town/tiles/tilejson.json", at),
        ("/ogc/collections", {}),
        ("/ogc/collections/town.hotspots/items", {"datetime": at["at"]}),
        ("/ogc/collections/town.incidents/items", {"limit": 20}),
    ]  # fmt: skip
    not_from_replica = []
    with plain:
        for path, query in asked:
            theirs = plain.get(path, params=query)
            # A process that has read nothing yet.
            with TestClient(create_app(settings, primary)) as one:
                standby.catch_up()
                before = engine_of(one).replica.n_served
                ours = one.get(path, params=query)
                if engine_of(one).replica.n_served == before:
                    not_from_replica.append(path)
            assert ours.status_code == theirs.status_code, (path, ours.text)
            assert ours.status_code < 500, (path, ours.text)
            if not path.endswith("samples"):
                assert without_clock(ours) == without_clock(theirs), path
    assert not_from_replica == MAY_ADVANCE


def test_what_was_written_is_read_though_the_replica_does_not_know_it(processes, standby):
    one, other = processes
    standby.pause()
    try:
        upload(one, "here", 1)
        for client in (one, other):
            days, from_replica = days_of(client, "here")
            assert "2023-05-02" in days
            assert not from_replica
    finally:
        standby.resume()
    for client in (one, other):
        days, from_replica = days_of(client, "here")
        assert "2023-05-02" in days
        assert from_replica
        standby.catch_up()  # each listing is an entry of the audit log


def test_acts_in_one_region_do_not_keep_reads_of_others_from_the_replica(processes, standby):
    one, other = processes
    standby.pause()
    try:
        upload(one, "here", 2)
        assert days_of(other, "there") == (set(), True)
        assert "2023-05-03" in days_of(other, "here")[0]
        reply, from_replica = served(other, "/v1/regions")
        assert {each["id"] for each in reply.json()["regions"]} == {"here", "there", "town"}
        assert not from_replica, "it is of all regions"
    finally:
        standby.resume()


def test_an_erased_incident_is_not_read_from_a_replica_that_still_has_it(processes, standby):
    one, other = processes
    upload(one, "there", 3)
    standby.catch_up()
    listed = one.get("/v1/regions/there/incidents").json()["features"]
    standby.catch_up()
    standby.pause()
    try:
        reply = one.delete(f"/v1/regions/there/incidents/{listed[0]['id']}")
        assert reply.status_code in (200, 202, 204), reply.text
        assert days_of(other, "there") == (set(), False)
    finally:
        standby.resume()


def test_a_request_reads_its_own_writes_and_later_ones_of_its_process_too(
    settings, primary, standby
):
    engine = with_replica(primary, settings)
    standby.catch_up()
    count = text("SELECT count(*) FROM unaudited")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE unaudited (n int)"))
    standby.catch_up()
    standby.pause()
    try:
        with may_read_replica("here"):
            with engine.connect() as connection:
                assert connection.scalar(text("SELECT pg_is_in_recovery()"))
            with engine.begin() as connection:
                connection.execute(text("INSERT INTO unaudited VALUES (1)"))
            with engine.connect() as connection:
                assert connection.scalar(count) == 1
        with may_read_replica("here"), engine.connect() as connection:
            assert connection.scalar(count) == 1
    finally:
        standby.resume()
    with may_read_replica("here"), engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_is_in_recovery()"))
        assert connection.scalar(count) == 1
    with engine.connect() as connection:
        assert not connection.scalar(text("SELECT pg_is_in_recovery()")), "outside of requests"
    engine.replica.engine.dispose()


def test_a_replica_that_is_down_costs_one_line_and_no_request(processes, standby, caplog):
    one, _ = processes
    assert days_of(one, "here")[1]
    caplog.clear()
    with caplog.at_level(logging.INFO, "hotslot.database"):
        standby.stop()
        try:
            for _ in range(4):
                assert not days_of(one, "here")[1]
        finally:
            standby.start()
        standby.catch_up()
        assert days_of(one, "here")[1]
    lines = [r.getMessage() for r in caplog.records if r.name == "hotslot.database"]
    assert lines == ["reads go to the primary", "reads go to the replica again"]


def test_a_replica_that_failed_is_left_alone_for_a_while(settings, primary, standby, monkeypatch):
    monkeypatch.setattr(module, "REST_S", 3600.0)
    engine = with_replica(primary, settings)
    with may_read_replica(None), engine.connect():
        pass
    standby.stop()
    with may_read_replica(None), engine.connect():
        pass
    standby.start()
    standby.catch_up()
    with may_read_replica(None), engine.connect():
        assert engine.replica.n_served == 1
    engine.replica._rests_until = 0.0
    with may_read_replica(None), engine.connect():
        assert engine.replica.n_served == 2
    engine.replica.engine.dispose()


def test_a_replica_too_far_behind_is_not_used_whatever_was_written(settings, primary, standby):
    engine = with_replica(primary, settings.model_copy(update={"read_max_lag_s": 0.001}))
    patient = with_replica(primary, settings)
    standby.catch_up()
    standby.pause()
    try:
        with psycopg.connect(standby.primary.url()) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS later (n int)")
            connection.execute("INSERT INTO later VALUES (1)")
        for each, expected in ((engine, 0), (patient, 1)):
            with may_read_replica("here"), each.connect():
                assert each.replica.n_served == expected
    finally:
        standby.resume()
    for each in (engine, patient):
        each.replica.engine.dispose()


def test_what_is_no_replica_of_this_database_is_not_read(
    settings, primary, standby, server_url, caplog
):
    for url in (standby.primary.url(), server_url):
        caplog.clear()
        engine = with_replica(
            primary, settings.model_copy(update={"read_database_url": SecretStr(url)})
        )
        with may_read_replica(None), engine.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM regions")) == 3
        assert engine.replica.n_served == 0
        assert len(caplog.records) == 1
        engine.replica.engine.dispose()
    known = type("Row", (), {"installation": "a", "place": 1})
    found = type("Row", (), {"installation": "b", "place": 1, "is_replica": True, "age_s": 0.0})
    assert "another database" in module.fault_of(known, found, 10.0)


def test_a_read_that_the_replica_ends_is_503_and_the_next_uses_the_primary(
    settings, primary, standby
):
    engine = with_replica(primary, settings)
    with psycopg.connect(standby.primary.url(), autocommit=True) as admin:
        admin.execute("CREATE TABLE dropped AS SELECT generate_series(1, 10) AS n")
        standby.catch_up()
        dropping = threading.Timer(0.5, admin.execute, ["DROP TABLE dropped"])
        dropping.start()
        with may_read_replica(None), engine.connect() as connection:
            connection.execute(text("SELECT n FROM dropped LIMIT 1"))
            with pytest.raises(Unavailable) as end:
                connection.execute(text("SELECT pg_sleep(8)"))
        dropping.join()
    assert end.value.code == "replica_conflict"
    with may_read_replica(None), engine.connect() as connection:
        assert not connection.scalar(text("SELECT pg_is_in_recovery()"))
    engine.replica.engine.dispose()


def test_the_doctor_says_why_a_replica_is_not_read(settings, standby):
    def reasons():
        found = [each.message for each in examine(settings)]
        assert "check_failed" not in {each.code for each in found}
        return [each.params["reason"] for each in found if each.code == "replica_unused"]

    standby.catch_up()
    assert reasons() == []
    standby.stop()
    try:
        (reason,) = reasons()
        assert "connection" in reason
    finally:
        standby.start()


def test_serve_refuses_an_address_that_is_none_in_one_line(home, primary):
    wrong = {"HOTSLOT_HOME": str(home), "HOTSLOT_READ_DATABASE_URL": "mysql://somewhere"}
    refused = short_serve(wrong)
    assert refused.returncode == 2
    assert "HOTSLOT_READ_DATABASE_URL must start with postgresql" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_only_reads_of_data_may_use_it():
    rules = {
        (method, route.path): rule
        for route, rule in _table().routes
        for method in route.methods or ()
    }
    may = {path for (method, path), rule in rules.items() if rule.replica and method == "GET"}
    assert {"/v1/regions", "/v1/regions/{region}/incidents", "/ogc/collections"} <= may
    never = {"/v1/keys", "/v1/audit", "/metrics", "/readyz", "/v1/regions/{region}/data-report"}
    assert not never & may
    assert not [path for path in may if "runs" in path or "backtests" in path or "events" in path]
    assert not [
        key for key, rule in rules.items() if rule.replica and key[0] not in ("GET", "HEAD")
    ]


def _table():
    app: HotslotApi = create_app(Settings(database_url=SecretStr("postgresql://nobody@/none")))
    return next(m.kwargs["table"] for m in app.user_middleware if "table" in m.kwargs)
