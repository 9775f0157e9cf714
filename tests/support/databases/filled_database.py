"""A database of the release before partitions, filled, with somebody who keeps writing to it."""

from __future__ import annotations

import random
import threading
import time

import pytest
from sqlalchemy import text

from app.core.db.locks import INGEST_LOCK, transaction_lock
from tests.support.databases.old_schema import database_at

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
    """A database of the release before, with rows."""
    with database_at(BEFORE, server_url) as made:
        with made.engine.begin() as connection:
            for region in range(1, REGIONS + 1):
                add_region(connection, region)
                insert(connection, region, N_ROWS // REGIONS)
        yield made


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
