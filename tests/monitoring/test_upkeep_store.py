"""Room and rows of tables whose large values lie beside them."""

import pytest
from sqlalchemy import text

from app.monitoring.upkeep_store import rooms, tables_upkeep
from tests.support.statistics import flush_statistics

ROWS, CHUNKS = 600, 4
"""PostgreSQL cuts a value of 7,900 bytes into so many."""


@pytest.fixture
def heavy(engine):
    """A connection, and a table with large values of which a third is dead."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in (
            "CREATE TABLE heavy (n int PRIMARY KEY, content bytea) WITH (autovacuum_enabled = off)",
            "ALTER TABLE heavy ALTER content SET STORAGE EXTERNAL",
            f"INSERT INTO heavy SELECT k, repeat('x', 7900)::bytea FROM generate_series(1, {ROWS}) AS k",
            "ANALYZE heavy",
            f"DELETE FROM heavy WHERE n <= {ROWS // 3}",
        ):
            connection.execute(text(statement))
        flush_statistics(connection.connection.driver_connection)
        yield connection
        connection.execute(text("DROP TABLE heavy"))


def test_large_values_count_as_rows_of_their_table(heavy):
    (found,) = [table for table in tables_upkeep(heavy) if table.name == "heavy"]
    assert found.dead == (1 + CHUNKS) * ROWS // 3
    assert found.analyzed_at is not None
    assert found.vacuumed_at is None


def test_what_values_take_and_what_their_removal_leaves_empty(heavy):
    heavy.execute(text("VACUUM ANALYZE heavy"))
    parts = {room.kind: room for room in rooms(heavy) if room.table_name == "heavy"}
    assert {kind: room.name for kind, room in parts.items()} == {
        "table": "heavy", "values": "heavy", "index": "heavy_pkey",
    }  # fmt: skip
    assert parts["values"].bytes > 7_900 * ROWS
    assert 0.25 < parts["values"].spare_share < 0.4
    assert all(0 <= room.spare_bytes <= room.bytes for room in rooms(heavy))
