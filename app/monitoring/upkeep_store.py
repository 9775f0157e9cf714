"""What PostgreSQL knows about its upkeep: dead rows by table, transaction ids, transactions left open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

MIN_DEAD_ROWS = 10_000
"""Fewer dead rows are not worth a word, and their number could reveal single corrections."""
SHARE_STEP = 0.05
MAX_IDS = 2**31
_TABLES = text(
    """
    SELECT relname AS name, n_live_tup AS live, n_dead_tup AS dead,
           greatest(last_vacuum, last_autovacuum) AS vacuumed_at
    FROM pg_stat_user_tables WHERE schemaname = current_schema() ORDER BY relname
    """
)
_IDS = text(
    """
    SELECT greatest(age(datfrozenxid), mxid_age(datminmxid))
    FROM pg_database WHERE datname = current_database()
    """
)
_OPEN = text(
    """
    SELECT pid, coalesce(state, '') AS state, coalesce(application_name, '') AS application,
           extract(epoch FROM now() - xact_start)::float8 AS open_s
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND xact_start < now() - CASE WHEN state LIKE 'idle in transaction%'
                                    THEN make_interval(secs => :idle_s)
                                    ELSE make_interval(secs => :working_s) END
    ORDER BY xact_start
    """
)


@dataclass(frozen=True)
class TableUpkeep:
    """Rows of a table as the statistics estimate them."""

    name: str
    live: int
    dead: int
    vacuumed_at: datetime | None
    """By hand or by autovacuum, since the statistics were last reset."""

    @property
    def dead_share(self) -> float:
        return self.dead / (self.live + self.dead) if self.dead else 0.0


@dataclass(frozen=True)
class OpenTransaction:
    """A transaction that has been open for long: vacuum removes nothing that it might still read."""

    pid: int
    state: str
    application: str
    open_s: float


def tables_upkeep(connection: Connection) -> list[TableUpkeep]:
    """List the tables of the schema, partitions among them, by name; reads statistics alone."""
    return [TableUpkeep(**row._mapping) for row in connection.execute(_TABLES)]


def coarse_dead_share(table: TableUpkeep) -> float:
    """Return the share of dead rows as metrics show it: 0 below `MIN_DEAD_ROWS`, else in whole steps.

    >>> coarse_dead_share(TableUpkeep("incidents", 100_000, 30_001, None))
    0.25
    """
    if table.dead < MIN_DEAD_ROWS:
        return 0.0
    return round(round(table.dead_share / SHARE_STEP) * SHARE_STEP, 2)


def transaction_ids_used(connection: Connection) -> float:
    """Return which share of transaction ids lies between the oldest unfrozen row and now; at 1 it stops."""
    return int(connection.scalar(_IDS) or 0) / MAX_IDS


def open_transactions(
    connection: Connection, *, idle_s: float, working_s: float
) -> list[OpenTransaction]:
    """List transactions that have been open for too long, the oldest first.

    Args:
        idle_s: limit for one that waits for its client.
        working_s: limit for one whose statement runs.
    """
    limits = {"idle_s": idle_s, "working_s": working_s}
    return [OpenTransaction(**row._mapping) for row in connection.execute(_OPEN, limits)]
