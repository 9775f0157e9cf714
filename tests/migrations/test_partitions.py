"""A filled database moves into partitions while it is written to, and while the copier is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime

import pytest
from alembic import command
from alembic.config import Config
from pydantic import SecretStr
from sqlalchemy import event, make_url, text
from typer.testing import CliRunner

from app.cli import app
from app.core.db import partitions
from app.core.db.engine import open_engine
from app.core.db.locks import INGEST_LOCK, transaction_lock
from app.core.db.partitions import advance_copy, copy_progress, restart
from app.core.db.schema import MIGRATIONS, migrate
from app.core.settings import Settings
from app.worker.maintenance import maintain

BEFORE = "0037"
N_ROWS, REGIONS, BATCH = 6_000, 3, 150
COPIER = """
import sys, time
from pydantic import SecretStr
from app.core.db import partitions
from app.core.db.engine import open_engine
from app.core.settings import Settings
partitions.BATCH_ROWS = int(sys.argv[2])
step = partitions._step
def slowly(connection):
    step(connection)
    time.sleep(0.02)  # within the transaction, so that kills hit it
partitions._step = slowly
left = partitions.advance_copy(open_engine(Settings(database_url=SecretStr(sys.argv[1]))), 600)
sys.exit(0 if left is None else 1)
"""
# Every column, as text: what a reader of either table would get.
ALL_ROWS = """
    SELECT id, region_key, occurred_at, longitude, latitude, x_m, y_m, "window", category_key, external_id,
        source, dedup_key, occurrence, upload_id, inserted_at, reference, feed_key, revised_at, occurred_to
    FROM {} ORDER BY region_key, id
"""
INSERT = """
    INSERT INTO {table} (region_key, occurred_at, longitude, latitude, x_m, y_m, "window", category_key,
        external_id, dedup_key, occurrence, upload_id, reference, occurred_to)
    SELECT :region, now() - random() * interval '900 days', random(), random(), random(), random(),
        k % 168, (SELECT key FROM categories WHERE region_key = :region), 'e' || k, gen_random_uuid(), 1,
        (SELECT max(id) FROM uploads WHERE region_key = :region), nullif(k % 3, 0)::text,
        now() + interval '1 s'
    FROM generate_series(1, :n) AS k
"""


@pytest.fixture
def filled(server_url):
    """An engine on a database of the release before, with rows, and how to go to another revision."""
    name = f"parts{uuid.uuid4().hex[:8]}"
    admin = open_engine(Settings(database_url=SecretStr(server_url)))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
        engine = open_engine(Settings(database_url=SecretStr(url)))

        def go(step, revision):
            with engine.begin() as made:
                config.attributes["connection"] = made
                step(config, revision)

        go(command.upgrade, BEFORE)
        with engine.begin() as made:
            for region in range(1, REGIONS + 1):
                add_region(made, region)
                insert(made, region, N_ROWS // REGIONS)
        yield engine, url, go
        engine.dispose()
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def add_region(connection, region):
    values = {"key": region, "id": f"r{region}"}
    for statement in (
        "INSERT INTO regions (id, name, timezone, cell_size_m) VALUES (:id, 'R', 'UTC', 100)",
        "INSERT INTO categories (region_key, name) VALUES (:key, 'theft')",
        "INSERT INTO uploads (region_key, summary) VALUES (:key, '{}')",
    ):
        connection.execute(text(statement), values)


def insert(connection, region, n):
    connection.execute(text(INSERT.format(table="incidents")), {"region": region, "n": n})


def rows(engine, table):
    with engine.connect() as connection:
        return connection.execute(text(ALL_ROWS.format(table))).all()


def is_partitioned(engine):
    with engine.connect() as connection:
        return connection.scalar(
            text("SELECT relkind = 'p' FROM pg_class WHERE oid = 'incidents'::regclass")
        )


def shadow(engine):
    """A plain table that the same writes reach, by the writer's own hand."""
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE shadow (LIKE incidents)"))
        connection.execute(text("INSERT INTO shadow SELECT * FROM incidents"))


class Writer(threading.Thread):
    """Adds, corrects, moves and erases incidents, each time in both tables, until told to stop."""

    def __init__(self, engine):
        super().__init__()
        self.engine, self.stopped, self.failure = engine, threading.Event(), None
        self.n = dict.fromkeys(("added", "corrected", "erased", "uploads", "regions"), 0)

    def run(self):
        chance = random.Random(4)
        try:
            while not self.stopped.is_set():
                with self.engine.begin() as connection:
                    self.write(connection, chance)
                time.sleep(0.005)
        except Exception as error:
            self.failure = error

    def write(self, connection, chance):
        region = chance.randint(1, REGIONS + self.n["regions"])
        transaction_lock(connection, INGEST_LOCK, region)
        kind = chance.choices(
            ("added", "corrected", "erased", "uploads", "regions"), (6, 6, 4, 1, 1)
        )[0]
        if kind == "regions" and self.n[kind] >= 3:
            kind = "added"
        getattr(self, kind)(connection, region, chance)
        self.n[kind] += 1

    def added(self, connection, region, chance):
        mark = connection.scalar(text("SELECT coalesce(max(id), 0) FROM incidents"))
        insert(connection, region, chance.randint(1, 40))
        connection.execute(
            text("INSERT INTO shadow SELECT * FROM incidents WHERE region_key = :r AND id > :mark"),
            {"r": region, "mark": mark},
        )

    def corrected(self, connection, region, chance):
        """Move some in time, to either side of where the copy is, and give them other keys."""
        chosen = self.some(connection, region, chance.randint(1, 30))
        changes = f"""SET occurred_at = occurred_at + interval '{chance.randint(-500, 500)} days',
            occurred_to = NULL, x_m = x_m + 1, dedup_key = md5(dedup_key::text)::uuid"""
        self.both(
            connection,
            f"UPDATE {{}} {changes} WHERE region_key = :r AND id = ANY(:ids)",
            region,
            chosen,
        )

    def erased(self, connection, region, chance):
        chosen = self.some(connection, region, chance.randint(1, 10))
        self.both(
            connection, "DELETE FROM {} WHERE region_key = :r AND id = ANY(:ids)", region, chosen
        )

    def uploads(self, connection, region, chance):
        """Erase an upload's row: its incidents follow by the foreign key."""
        upload = connection.scalar(
            text("SELECT max(id) FROM uploads WHERE region_key = :r"), {"r": region}
        )
        connection.execute(
            text("INSERT INTO uploads (region_key, summary) VALUES (:r, '{}')"), {"r": region}
        )
        chosen = self.some(connection, region, 50)
        moved = "UPDATE {} SET upload_id = upload_id + 0 WHERE region_key = :r AND id = ANY(:ids)"
        self.both(connection, moved, region, chosen)
        fresh = f"""UPDATE {{}} SET upload_id = (SELECT max(id) FROM uploads WHERE region_key = :r)
            WHERE region_key = :r AND upload_id = {upload} AND NOT id = ANY(:ids)"""
        self.both(connection, fresh, region, chosen)
        connection.execute(text("DELETE FROM uploads WHERE id = :u"), {"u": upload})
        connection.execute(text("DELETE FROM shadow WHERE upload_id = :u"), {"u": upload})

    def regions(self, connection, region, chance):
        add_region(connection, REGIONS + self.n["regions"] + 1)

    def some(self, connection, region, n):
        query = text("SELECT id FROM shadow WHERE region_key = :r ORDER BY random() LIMIT :n")
        return list(connection.scalars(query, {"r": region, "n": n}))

    def both(self, connection, statement, region, ids):
        for table in ("incidents", "shadow"):
            connection.execute(text(statement.format(table)), {"r": region, "ids": ids})


def test_nothing_is_lost_though_it_is_written_and_the_copier_killed(filled):
    engine, url, go = filled
    shadow(engine)
    writer = Writer(engine)
    writer.start()
    go(command.upgrade, "head")
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
    old, _, go = filled
    go(command.upgrade, "head")
    last = rows(old, "incidents")
    assert advance_copy(old, 60) is None
    with old.begin() as connection:
        insert(connection, 1, 5)
    fresh = {row.id for row in rows(old, "incidents")} - {row.id for row in last}
    assert min(fresh) > max(row.id for row in last)
    assert names(old) == names(engine)


def names(engine):
    """Names and definitions of all keys, checks and indexes of incidents and its partitions."""
    query = text(
        """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE conrelid::regclass::text ~ '^incidents(_p[0-9]+)?$' AND contype <> 'n'
        UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes
        WHERE tablename ~ '^incidents(_p[0-9]+)?$'
        UNION ALL SELECT relname, relkind::text, '' FROM pg_class
        WHERE relname ~ '^(incident|mirror)' AND relkind IN ('S', 'r', 'p')
        """
    )
    with engine.connect() as connection:
        return {tuple(row) for row in connection.execute(query)}


def test_the_swap_reads_no_row(filled):
    """Its exclusive lock is held for as long as PostgreSQL needs to rename, however many rows there are."""
    engine, _, go = filled
    go(command.upgrade, "head")
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
    engine, _, go = filled
    go(command.upgrade, "head")
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
    engine, _, go = filled
    go(command.upgrade, "head")
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
    engine, _, go = filled
    before = rows(engine, "incidents")
    migrate(engine)
    assert is_partitioned(engine)
    assert rows(engine, "incidents") == before
    go(command.downgrade, BEFORE)
    assert not is_partitioned(engine)
    with engine.begin() as connection:
        insert(connection, 2, 3)
    then = rows(engine, "incidents")
    assert len(then) == len(before) + 3
    go(command.upgrade, "head")
    go(command.downgrade, BEFORE)
    assert rows(engine, "incidents") == then
    migrate(engine)
    assert is_partitioned(engine)
    assert rows(engine, "incidents") == then


def test_many_are_left_to_the_maintenance(filled, monkeypatch, tmp_path):
    engine, url, _ = filled
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
    engine, url, _ = filled
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
