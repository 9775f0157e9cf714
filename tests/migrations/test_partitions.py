"""A filled database moves into partitions while it is written to, and while the copier is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from sqlalchemy import event, text
from typer.testing import CliRunner

from app.cli import app
from app.core.db import partitions
from app.core.db.locks import INGEST_LOCK, transaction_lock
from app.core.db.partitions import advance_copy, copy_progress, restart
from app.core.db.schema import migrate
from app.core.settings import Settings
from app.worker.maintenance import maintain
from tests.support.databases.filled_database import (
    BATCH,
    BEFORE,
    COPIER,
    N_ROWS,
    Writer,
    filled,
    insert,
    is_partitioned,
    rows,
    shadow,
)

__all__ = ["filled"]


@pytest.mark.slow
def test_nothing_is_lost_though_it_is_written_and_the_copier_killed(filled):
    engine, url = filled.engine, filled.url
    shadow(engine)
    writer = Writer(engine)
    writer.start()
    filled.upgrade()
    chance, killed, ended = random.Random(7), 0, None
    while ended is None:
        process = subprocess.Popen([sys.executable, "-c", COPIER, url, str(BATCH)], env=os.environ)
        # Until it works; then for a random while.
        stage = wait_for_progress(engine)
        if killed < 4 and stage is not None:
            time.sleep(chance.uniform(0.0, 0.4))
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        else:
            ended = process.wait(timeout=300)
    time.sleep(0.3)
    writer.stopped.set()
    writer.join()
    assert writer.failure is None
    assert ended == 0
    assert killed >= 3
    assert all(writer.n.values()), writer.n
    assert is_partitioned(engine)
    assert rows(engine, "incidents") == rows(engine, "shadow")
    with engine.connect() as connection:
        assert copy_progress(connection) is None
        left = "SELECT to_regclass('incidents_next'), to_regclass('incidents_before')"
        assert connection.execute(text(left)).one() == (None, None)


def wait_for_progress(engine):
    """Wait until the copy has moved; returns its stage, or None when it is done."""

    def state():
        with engine.connect() as connection:
            return connection.execute(text("SELECT * FROM incident_copy")).one_or_none()

    begun, deadline = state(), time.monotonic() + 60
    while (now := state()) is not None and now == begun and time.monotonic() < deadline:
        time.sleep(0.01)
    return None if now is None else now.stage


def test_ids_go_on_and_names_are_those_of_a_fresh_database(filled, engine):
    old = filled.engine
    filled.upgrade()
    last = rows(old, "incidents")
    assert advance_copy(old, 60) is None
    with old.begin() as connection:
        insert(connection, 1, 5)
    fresh = {row.id for row in rows(old, "incidents")} - {row.id for row in last}
    assert min(fresh) > max(row.id for row in last)
    assert names(old) == names(engine)
    vacuumed = [one for one in names(engine) if "vacuum_scale_factor=0.05" in str(one[2])]
    assert {name for name, *_ in vacuumed} == {f"incidents_p{k:02d}" for k in range(16)}


def names(engine):
    """Names and definitions of all keys, checks, indexes and options of incidents and its partitions."""
    query = text(
        """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE conrelid::regclass::text ~ '^incidents(_p[0-9]+)?$' AND contype <> 'n'
        UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes
        WHERE tablename ~ '^incidents(_p[0-9]+)?$'
        UNION ALL SELECT relname, relkind::text, array_to_string(reloptions, ' ') FROM pg_class
        WHERE relname ~ '^(incident|mirror)' AND relkind IN ('S', 'r', 'p')
        """
    )
    with engine.connect() as connection:
        return {tuple(row) for row in connection.execute(query)}


def test_the_swap_reads_no_row(filled):
    """Its exclusive lock is held for as long as PostgreSQL needs to rename, however many rows there are."""
    engine = filled.engine
    filled.upgrade()
    while stage(engine) != "swapping":
        with engine.begin() as connection:
            partitions._step(connection)
    scans = text(
        "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"
        " WHERE relname ~ '^incidents'"
    )
    with engine.begin() as connection:
        before = connection.scalar(scans)
        partitions._step(connection)
        assert connection.scalar(scans) == before
    assert stage(engine) == "dropping"
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM incidents_before")) == 0, "erasable"
        assert connection.scalar(text("SELECT count(*) FROM incidents")) == N_ROWS


def stage(engine):
    with engine.connect() as connection:
        return copy_progress(connection).stage


def test_the_swap_waits_for_uploads_without_stopping_readers(filled, monkeypatch):
    engine = filled.engine
    filled.upgrade()
    while stage(engine) != "swapping":
        with engine.begin() as connection:
            partitions._step(connection)
    monkeypatch.setattr(partitions, "PAUSE_S", 0.01)
    asked = []
    with engine.begin() as upload:
        transaction_lock(upload, INGEST_LOCK, 2)
        listen = lambda *call: asked.append(call[2])  # noqa: E731
        event.listen(engine, "before_cursor_execute", listen)
        assert advance_copy(engine, 0.1).stage == "swapping"
        event.remove(engine, "before_cursor_execute", listen)
    assert asked
    assert not [one for one in asked if "LOCK TABLE" in one]
    assert advance_copy(engine, 60) is None
    assert is_partitioned(engine)


def test_a_copy_that_differs_is_not_taken(filled):
    engine = filled.engine
    filled.upgrade()
    while stage(engine) != "comparing":
        with engine.begin() as connection:
            partitions._step(connection)
    with engine.begin() as connection:
        connection.execute(text("UPDATE incidents_next SET x_m = x_m + 1 WHERE id = 17"))
    for _ in range(2):
        assert advance_copy(engine, 60).stage == "differs"
    assert not is_partitioned(engine)
    migrate(engine)
    assert stage(engine) == "differs", "a person decides"
    restart(engine)
    assert advance_copy(engine, 60) is None
    assert is_partitioned(engine)


def test_few_incidents_are_copied_by_the_migration_itself_and_the_way_back_works(filled):
    engine = filled.engine
    before = rows(engine, "incidents")
    migrate(engine)
    assert is_partitioned(engine)
    assert rows(engine, "incidents") == before
    filled.downgrade(BEFORE)
    assert not is_partitioned(engine)
    with engine.begin() as connection:
        insert(connection, 2, 3)
    then = rows(engine, "incidents")
    assert len(then) == len(before) + 3
    filled.upgrade()
    filled.downgrade(BEFORE)
    assert rows(engine, "incidents") == then
    migrate(engine)
    assert is_partitioned(engine)
    assert rows(engine, "incidents") == then


def test_many_are_left_to_the_maintenance(filled, monkeypatch, tmp_path):
    engine, url = filled.engine, filled.url
    monkeypatch.setattr(partitions, "SMALL_ROWS", N_ROWS)
    migrate(engine)
    assert stage(engine) == "copying"
    assert advance_copy(engine, -1).copied == 0
    assert not is_partitioned(engine)
    settings = Settings(home=tmp_path, database_url=SecretStr(url))
    maintain(engine, settings, datetime.now(UTC))
    assert is_partitioned(engine)
    with engine.connect() as connection:
        assert copy_progress(connection) is None


def test_the_command_line_says_how_far_it_is_and_ends_it(filled, monkeypatch, tmp_path):
    engine, url = filled.engine, filled.url
    monkeypatch.setenv("HOTSLOT_HOME", str(tmp_path))
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", url)
    monkeypatch.setattr(partitions, "SMALL_ROWS", N_ROWS)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE incidents"))
    first = told("migrate")
    assert first.startswith("schema is current 0% of the incidents are copied")
    monkeypatch.setattr(partitions, "BATCH_ROWS", N_ROWS // 2)
    with engine.begin() as connection:
        partitions._step(connection)
    assert "33% of the incidents" in told("migrate")
    assert "schema is current" in told("migrate", "--copy-incidents")
    assert is_partitioned(engine)
    assert told("migrate") == "schema is current"


def told(*command):
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())
