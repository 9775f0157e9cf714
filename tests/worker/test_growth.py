"""Every table is bounded, pruned by the maintenance, or permanent: docs/operations.md says which."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, text

from app.audit import store as audit
from app.core.db.tables import metadata
from app.doctor.store import QUEUE_TABLES
from app.runs.schedules import database_clock
from app.worker.maintenance import maintain

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
WITHOUT_REGION = {"audit_log", "audit_heads"}
CASCADES = text(
    """
    SELECT confrelid::regclass::text, conrelid::regclass::text FROM pg_constraint
    WHERE contype = 'f' AND confdeltype = 'c'
    """
)


@pytest.fixture(scope="module")
def placed() -> dict[str, list[str]]:
    """Tables by what becomes of their rows, as the documentation has it."""
    found: dict[str, list[str]] = {"bounded": [], "pruned": [], "permanent": []}
    part = PAGE.read_text().partition("### What grows")[2].partition("\n**Live scores**")[0]
    for names, kind in re.findall(r"^\| (`.*?) \| .*? \| \*\*(\w+)\*\*", part, re.MULTILINE):
        found[kind] += re.findall(r"`(\w+)`", names)
    return found


def test_every_table_has_one_place(placed):
    names = [name for kind in placed.values() for name in kind]
    assert sorted(names) == sorted([*metadata.tables, *QUEUE_TABLES])


def test_what_is_pruned_is_deleted_by_the_maintenance(engine, settings, town, placed):
    """By a statement of its own, or with rows that one deletes."""
    deleted: set[str] = set()

    def note(_connection, _cursor, statement, *_):
        deleted.update(re.findall(r"DELETE FROM (\w+)", statement))

    with engine.begin() as connection:
        now = database_clock(connection)
    _read_long_ago(engine, now - timedelta(days=400))
    event.listen(engine, "before_cursor_execute", note)
    try:
        maintain(engine, settings, now)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        cascades = [tuple(row) for row in connection.execute(CASCADES)]
    for _ in range(3):
        deleted |= {child for parent, child in cascades if parent in deleted}
    assert set(placed["pruned"]) - deleted == set()
    assert not deleted & {"incidents", "regions", "uploads"}


def _read_long_ago(engine, at):
    """Only chains of reads that have old entries are pruned."""
    values = {"chain": f"{audit.READS_MARK}town", "at": at}
    row = (
        "INSERT INTO audit_log (chain, seq, at, actor, action, details, previous_hash, hash)"
        " SELECT :chain, k, CAST(:at AS timestamptz), 'x', 'read', '{}', '', k::text"
        " FROM generate_series(1, 3) AS k"
    )
    head = "INSERT INTO audit_heads (chain, seq, hash) VALUES (:chain, 3, '3')"
    with engine.begin() as connection:
        for statement in (row, head):
            connection.execute(text(statement), values)


def test_what_is_permanent_goes_with_its_region(placed):
    of_region = {name for name, table in metadata.tables.items() if "region_key" in table.c}
    assert set(placed["permanent"]) <= of_region | WITHOUT_REGION


def test_alarms_that_were_cleared_long_ago_go_and_open_ones_stay(engine, settings, town):
    insert = text(
        "INSERT INTO alarms (region_key, version, kind, message, details, raised_at, cleared_at)"
        " SELECT key, 'v', :kind, 'm', '{}', now() - interval '900 days', CAST(:cleared AS timestamptz)"
        " FROM regions WHERE id = :town"
    )
    with engine.begin() as connection:
        now = database_clock(connection)
        for kind, days in (("volume", 500), ("place", 300), ("swing", None)):
            cleared = None if days is None else now - timedelta(days=days)
            connection.execute(insert, {"kind": kind, "cleared": cleared, "town": town})
    maintain(engine, settings, now)
    with engine.connect() as connection:
        left = connection.scalars(text("SELECT kind FROM alarms ORDER BY kind")).all()
    assert left == ["place", "swing"]
