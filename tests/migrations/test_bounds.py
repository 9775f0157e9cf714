"""What earlier versions stored without a bound: cut at the upgrade, which logs it, and changeable then."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from app.access.store import change_key
from app.core.db.schema import migrate, schema_is_current
from app.incidents.mappings import list_mappings
from app.releases.store import assign
from app.runs.store import list_runs
from tests.support.databases.old_schema import OldDatabase, database_at

BEFORE, MIB = "0018", 1 << 20
ROWS = (
    """INSERT INTO regions (id, name, timezone, cell_size_m, settings) VALUES
       ('old', repeat('n', 300), 'UTC', 100, jsonb_build_object('mappings', jsonb_build_object(
           'police', jsonb_build_object('columns', '{"category": "OFFENSE"}'::jsonb, 'crs', NULL,
                                        'time_format', NULL),
           'big', jsonb_build_object('columns', jsonb_build_object('category', repeat('X', 14680064)),
                                     'crs', NULL, 'time_format', NULL))))""",
    """INSERT INTO training_runs (id, region_key, message, request)
       SELECT gen_random_uuid(), key, repeat('m', 5000),
              jsonb_build_object('model', 'uniform', 'categories', jsonb_build_array(repeat('Y', 12582912)))
       FROM regions""",
    """INSERT INTO backtests (id, region_key, message, request)
       SELECT gen_random_uuid(), key, repeat('m', 5000), '{}' FROM regions""",
    """INSERT INTO sync_sources (region_key, name, spec, last_error)
       SELECT key, 's', '{}', repeat('e', 5000) FROM regions""",
    """INSERT INTO sync_runs (id, region_key, source_key, message, request)
       SELECT gen_random_uuid(), region_key, key, repeat('m', 5000), '{}' FROM sync_sources""",
    """INSERT INTO uploads (region_key, idempotency_key, source, summary, report)
       SELECT key, repeat('k', 9000) || n, repeat('s', 400),
              jsonb_build_object('received', 3, 'errors', jsonb_build_array(repeat('e', 2000000))),
              jsonb_build_object('note', repeat('r', 2000000))
       FROM regions, generate_series(1, 2) AS n""",
    """INSERT INTO promotions (region_key, version, reason)
       SELECT key, 'v', repeat('r', 5000) FROM regions""",
    """INSERT INTO schedules (region_key, model, counted_from, failure)
       SELECT key, 'stack', now(), repeat('f', 5000) FROM regions""",
    """INSERT INTO alarms (region_key, version, kind, message, details)
       SELECT key, 'v', 'volume', repeat('m', 5000), '{}' FROM regions""",
    """INSERT INTO api_keys (id, name, roles, secret_sha256)
       VALUES ('k', repeat('n', 300), '["reader"]', repeat('0', 64))""",
)
CUT = {
    "regions.name": 200, "api_keys.name": 200, "uploads.source": 300, "uploads.idempotency_key": 255,
    "training_runs.message": 1000, "backtests.message": 1000, "sync_runs.message": 1000,
    "promotions.reason": 1000, "schedules.failure": 1000, "alarms.message": 1000,
    "sync_sources.last_error": 1000,
}  # fmt: skip
SMALL = ("training_runs.request", "uploads.summary", "uploads.report", "regions.settings")


@pytest.fixture(scope="module")
def database(server_url: str) -> Iterator[OldDatabase]:
    """A database with what the version before stored."""
    with database_at(BEFORE, server_url) as made:
        with made.engine.begin() as connection:
            for statement in ROWS:
                connection.execute(text(statement))
        yield made


@pytest.fixture(scope="module")
def upgraded(database) -> tuple[Engine, str]:
    """The upgraded database, and what was logged meanwhile."""
    engine = database.engine
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("hotslot.migrations")
    log.addHandler(handler)
    migrate(engine)
    log.removeHandler(handler)
    return engine, "\n".join(lines)


def sizes(connection: Connection, place: str) -> list[int]:
    table, column = place.split(".")
    return list(connection.scalars(text(f"SELECT length({column}::text) FROM {table}")))


def test_what_was_too_large_is_cut_and_each_cut_is_logged_with_its_rows(upgraded):
    engine, log = upgraded
    with engine.connect() as connection:
        for place, limit in CUT.items():
            found = sizes(connection, place)
            assert found, place
            assert limit >= max(found) > limit / 2, place
            assert place in log, place
        for place in SMALL:
            assert max(sizes(connection, place)) < 2_000, place
            assert place in log or place == "regions.settings", place
        run = connection.scalar(text("SELECT id FROM training_runs"))
        keys = connection.scalars(text("SELECT idempotency_key FROM uploads")).all()
        summary = connection.scalar(text("SELECT summary FROM uploads LIMIT 1"))
        request = connection.scalar(text("SELECT request FROM training_runs"))
        mappings = list_mappings(connection, "old")
    assert str(run) in log
    assert len(set(keys)) == 2, "two keys stay two"
    assert summary == {"received": 3, "errors": []}
    assert request["model"] == "uniform"
    assert request["categories"] == ["left out: 1 categories, longer than a request may be"]
    assert list(mappings) == ["police"], "what is small stays"
    assert mappings["police"]["columns"] == {"category": "OFFENSE"}
    assert "column mapping of region old" in log
    assert "big" in log
    assert len(log) < 4_000, "what was cut is not repeated"


def test_rows_of_before_can_be_changed(upgraded):
    engine, _ = upgraded
    with engine.begin() as connection:
        region = connection.scalar(text("SELECT key FROM regions"))
        assign(connection, list(connection.scalars(text("SELECT id FROM uploads"))), 1)
        change_key(connection, "k", roles=["analyst"])
        for kind in ("train", "backtest", "sync"):
            assert list_runs(connection, kind, region)
        for place in (*CUT, *SMALL):
            table, column = place.split(".")
            connection.execute(text(f"UPDATE {table} SET {column} = {column}"))
        connection.execute(text("SAVEPOINT checked"))
        for table, name in connection.execute(
            text(
                "SELECT conrelid::regclass::text, conname FROM pg_constraint"
                " WHERE contype = 'c' AND NOT convalidated"
            )
        ).all():
            connection.execute(text(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}"))
        connection.execute(text("ROLLBACK TO SAVEPOINT checked"))


@pytest.mark.parametrize(("place", "limit"), CUT.items())
def test_the_database_refuses_more_from_now_on(upgraded, place, limit):
    engine, _ = upgraded
    table, column = place.split(".")
    change = text(f"UPDATE {table} SET {column} = repeat('x', :n)")
    if column == "idempotency_key":
        change = text(f"UPDATE {table} SET {column} = repeat('x', :n) || id")
    with pytest.raises(IntegrityError, match=f"ck_{table}_{column}_bound"), engine.begin() as c:
        c.execute(change, {"n": limit + 1})


def test_the_way_back_lifts_the_bounds_and_the_way_forth_cuts_again(database, upgraded):
    engine = database.engine
    database.downgrade(BEFORE)
    with engine.begin() as connection:
        assert not schema_is_current(connection)
        left = text("SELECT count(*) FROM pg_constraint WHERE conname LIKE '%\\_bound'")
        assert connection.scalar(left) == 0
        connection.execute(text("UPDATE training_runs SET message = repeat('x', 5000)"))
        assert sizes(connection, "uploads.source") == [300, 300]
    migrate(engine)
    with engine.connect() as connection:
        assert schema_is_current(connection)
        assert connection.scalar(left) > 70
        assert sizes(connection, "training_runs.message") == [1000]
