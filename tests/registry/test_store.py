"""Promotion, the way back, retention, and bytes that no version names."""

from __future__ import annotations

import threading
from contextvars import copy_context
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.core.errors import Conflict, NotFound, NotReady
from app.regions.store import get_region
from app.registry import champions as promotions
from app.registry import history, retention
from app.registry import store as registry
from app.registry.champions import get_champion, promote
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from tests.resilience.operations import store_half_and_die


@pytest.fixture(scope="module")
def versions(engine, settings, town):
    """Four versions of `town`, oldest data first; the first became champion."""
    made = []
    for month in (8, 9, 10, 11):
        until = datetime(2019, month, 1, tzinfo=UTC)
        request = TrainingRequest("uniform", until=until, validate=False)
        run = run_now(engine, settings, town, request, lambda _share, _message: None)
        assert run.status == "succeeded", run.message
        made.append(run.model_version)
    return made


@pytest.fixture
def begun(engine, town, versions):
    """A connection whose work is undone, and the region's key."""
    with engine.connect() as connection:
        yield connection, get_region(connection, town).key
        connection.rollback()


def champion_of(connection, key):
    return get_champion(connection, key).version


def test_rollback_goes_back_step_by_step(begun, versions):
    connection, key = begun
    a, b, c, d = versions
    for version in (b, c):
        promote(connection, key, version, "test")
    for expected in (b, a):
        promotions.roll_back(connection, key, "test")
        assert champion_of(connection, key) == expected
    with pytest.raises(Conflict):
        promotions.roll_back(connection, key, "test")
    promote(connection, key, d, "test")
    promotions.roll_back(connection, key, "test")
    assert champion_of(connection, key) == a
    last = promotions.all_promotions(connection, key)[-1]
    assert (last.action, last.previous_version) == ("rolled_back", d)
    assert last.data_until is not None


def test_one_of_two_rollbacks_at_once_wins(engine, town, versions):
    with engine.begin() as connection:
        key = get_region(connection, town).key
        revision = get_champion(connection, key).revision
        promote(connection, key, versions[1], "test")
    outcomes = []

    def back() -> None:
        try:
            with engine.begin() as connection:
                promotions.roll_back(connection, key, "test", revision + 1)
            outcomes.append("done")
        except Conflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=copy_context().run, args=(back,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict"] * 3 + ["done"]
    with engine.connect() as connection:
        assert champion_of(connection, key) == versions[0]


def test_retention_keeps_champions_and_the_newest(begun, versions):
    connection, key = begun
    a, b, c, _ = versions
    now = datetime.now(UTC)
    promote(connection, key, b, "test")
    promote(connection, key, c, "test")
    connection.execute(
        text("UPDATE promotions SET created_at = now() - interval '40 days' WHERE version <> :c"),
        {"c": c},
    )
    assert retention.drop_versions(connection, key, 1, 30, now) == [a]
    left = {v.version for v in registry.list_versions(connection, key)}
    assert left == set(versions) - {a}, "b's term ended today, c is champion, d is the newest"
    before = retention.unnamed(connection)
    assert before == 1, "what a named"
    assert retention.collect(connection)[0] == 1
    assert retention.unnamed(connection) == 0
    tables = registry.read_probabilities(connection, key, c, registry.ALL_CATEGORIES, [0])
    assert abs(tables.sum() - 1) < 1e-6


def test_the_way_back_outlives_retention(begun, versions):
    connection, key = begun
    a, b, c, _ = versions
    promote(connection, key, b, "test")
    promote(connection, key, c, "test")
    connection.execute(text("UPDATE promotions SET created_at = now() - interval '400 days'"))
    assert retention.drop_versions(connection, key, 1, 90, datetime.now(UTC)) == [a]
    promotions.roll_back(connection, key, "test")
    assert champion_of(connection, key) == b


@pytest.mark.slow
def test_killed_between_artifact_and_registration(engine, settings, town, versions):
    with engine.connect() as connection:
        key = get_region(connection, town).key
        serving = champion_of(connection, key)
    url = settings.database_url.get_secret_value()
    assert store_half_and_die(settings.home, url) == -9
    with engine.begin() as connection:
        # Also what an older version of hotslot may have left committed goes.
        connection.execute(
            text("INSERT INTO artifacts (sha256, content, size_bytes) VALUES ('lost', '', 0)")
        )
    with engine.begin() as connection:
        assert retention.collect(connection) == (1, 0)
        assert retention.unnamed(connection) == 0
        assert champion_of(connection, key) == serving


def test_collecting_waits_for_a_registration_under_way(engine, versions):
    collected = threading.Event()

    def collect() -> None:
        with engine.begin() as connection:
            retention.collect(connection)
        collected.set()

    with engine.begin() as connection:
        retention.hold_unnamed(connection)
        connection.execute(
            text("INSERT INTO artifacts (sha256, content, size_bytes) VALUES ('new', '', 0)")
        )
        thread = threading.Thread(target=collect)
        thread.start()
        assert not collected.wait(0.3)
    thread.join()
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM artifacts WHERE sha256 = 'new'")) == 0


def damage(connection, version):
    connection.execute(
        text("UPDATE model_versions SET n_incidents = n_incidents + 1 WHERE version = :v"),
        {"v": version},
    )


def test_the_newest_version_that_knew_nothing_later_is_found(begun, versions):
    connection, key = begun
    a, b, c, d = versions
    cutoffs = [registry.get_version(connection, key, v).cutoff for v in versions]
    second = timedelta(seconds=1)
    for version, cutoff in zip(versions, cutoffs, strict=True):
        assert history.version_as_of(connection, key, cutoff).version == version
    assert history.version_as_of(connection, key, cutoffs[3] - second, "uniform").version == c
    assert history.version_as_of(connection, key, cutoffs[3], a).version == a, "of this name alone"
    with pytest.raises(
        NotFound, match="no version of 'uniform' knew only what came before"
    ) as none:
        history.version_as_of(connection, key, cutoffs[0] - second)
    assert none.value.code == "no_version_as_of"
    assert history.older_version(connection, key, cutoffs[0] - second, "uniform") is None
    assert history.older_version(connection, key, cutoffs[1], "uniform").version == b
    assert history.newest_version(connection, key).version == d


def test_a_damaged_version_is_passed_over(begun, versions):
    connection, key = begun
    *_, c, d = versions
    cutoff = registry.get_version(connection, key, d).cutoff
    damage(connection, d)
    assert history.version_as_of(connection, key, cutoff).version == c
    assert history.newest_version(connection, key).version == c
    for version in versions[:3]:
        damage(connection, version)
    assert history.newest_version(connection, key) is None


def test_earlier_champions_are_listed_last_first_without_the_damaged(begun, versions):
    connection, key = begun
    a, b, c, _ = versions
    for version in (b, c, b, a):
        promote(connection, key, version, "test")
    assert [v.version for v in history.earlier_champions(connection, key, a)] == [b, c]
    assert [v.version for v in history.earlier_champions(connection, key, a, 1)] == [b]
    assert history.current_champions(connection, ["town"], 0) == {"town": a}
    assert history.current_champions(connection, [], 1) == {"town": a}
    assert history.current_champions(connection, [], 0) == {}
    damage(connection, b)
    assert [v.version for v in history.earlier_champions(connection, key, a)] == [c]
    damage(connection, a)
    until = registry.get_version(connection, key, c).cutoff
    assert history.version_as_of(connection, key, until).version == c, "by the model before"


def test_a_region_without_a_champion_has_no_model_to_look_for(begun, versions):
    connection, key = begun
    connection.execute(text("DELETE FROM champions"))
    with pytest.raises(NotReady):
        history.version_as_of(connection, key, datetime.now(UTC))
    assert (
        history.version_as_of(connection, key, datetime.now(UTC), "uniform").version == versions[3]
    )


def test_what_arrived_since_an_instant_is_counted_without_some_kinds(begun, versions):
    connection, key = begun
    since = datetime(2019, 12, 1, tzinfo=UTC)
    rows = connection.execute(
        text("SELECT c.name, i.occurred_at FROM incidents i JOIN categories c ON c.key = i.category_key"
             " WHERE i.occurred_at >= :since"), {"since": since},
    ).all()  # fmt: skip
    assert history.arrived_since(connection, key, since) == (len(rows), max(r[1] for r in rows))
    name = rows[0][0]
    others = [r for r in rows if r[0] != name]
    found = history.arrived_since(connection, key, since, [name.upper()])
    assert found == (len(others), max(r[1] for r in others))
    assert history.last_incident_at(connection, key) == max(r[1] for r in rows)
    assert history.arrived_since(connection, key, datetime.now(UTC)) == (0, None)
    assert history.last_incident_at(connection, key + 1) is None


def test_a_version_tells_where_it_comes_from(engine, town, versions):
    with engine.connect() as connection:
        key = get_region(connection, town).key
        record = registry.get_version(connection, key, versions[-1])
    made = record.provenance
    assert len(made["code_sha256"]) == 64
    assert set(made["durations_s"]) == {"read", "validate", "fit", "counts"}
    assert made["libraries"]["torch"]
    assert record.cutoff <= datetime(2019, 11, 1, tzinfo=UTC) + timedelta(hours=1)
    assert record.gate == {"promote": False, "reason": "not validated"}


@pytest.mark.slow
def test_same_data_and_seed_give_the_same_version(engine, settings, town, versions):
    """M4: the version's name ends in the hashes of its grid and its artifact."""
    request = TrainingRequest("maf", until=datetime(2019, 9, 1, tzinfo=UTC), seed=7, validate=False)
    runs = [run_now(engine, settings, town, request, lambda *_: None) for _ in range(2)]
    assert runs[0].status == "succeeded", runs[0].message
    assert runs[0].model_version == runs[1].model_version
