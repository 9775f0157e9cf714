"""What PostgreSQL knows about its upkeep: rows and room by table, transaction ids, open transactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from app.monitoring.upkeep_limits import BYTES_STEP, MIN_DEAD_ROWS, MIN_SPARE_BYTES, SHARE_STEP

MAX_IDS = 2**31
# Autovacuum never looks at a partitioned table as a whole: what its partitions have more than when it was
# last looked at has changed. Large values lie in a table beside it (toast), which counts as its own.
_TABLES = text(
    """
    SELECT c.relname AS name,
           coalesce(p.n, s.n_live_tup) + coalesce(t.n_live_tup, 0) AS live,
           s.n_dead_tup + coalesce(t.n_dead_tup, 0) AS dead,
           coalesce(abs(p.n - greatest(c.reltuples, 0))::bigint, s.n_mod_since_analyze) AS changed,
           greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed_at,
           greatest(s.last_analyze, s.last_autoanalyze) AS analyzed_at
    FROM pg_stat_user_tables AS s JOIN pg_class AS c ON c.oid = s.relid
    LEFT JOIN pg_stat_all_tables AS t ON t.relid = c.reltoastrelid
    LEFT JOIN LATERAL (
        SELECT sum(greatest(part.reltuples, 0))::bigint AS n FROM pg_inherits
        JOIN pg_class AS part ON part.oid = inhrelid WHERE inhparent = c.oid AND c.relkind = 'p'
    ) AS p ON true
    WHERE s.schemaname = current_schema() ORDER BY 1
    """
)
# Pages and rows as of the last vacuum or analyze (below 0: there was none), so that both are of one moment
# and no lock is needed. A row has 28 bytes beside its values, an entry of an index 12; a B-tree's pages are
# filled to 90 %. Where that is not known, nothing is spare.
_ROOM = text(
    """
    WITH widths AS (
        SELECT a.attrelid, a.attnum, sum(p.avg_width * (1 - p.null_frac)) AS bytes FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = a.attrelid
        JOIN pg_stats AS p ON p.schemaname = current_schema() AND p.tablename = c.relname
                          AND p.attname = a.attname AND NOT p.inherited
        WHERE c.relnamespace = current_schema()::regnamespace AND a.attnum > 0
        GROUP BY a.attrelid, a.attnum
    ), parts AS (
        SELECT c.relname AS name, c.relname AS table_name, 'table' AS kind, c.relpages,
               CASE WHEN c.reltuples = 0 THEN 0 WHEN c.reltuples > 0 THEN c.reltuples / 8168 * (
                   28 + (SELECT sum(bytes) FROM widths WHERE attrelid = c.oid)) END AS needed
        FROM pg_class AS c
        WHERE c.relkind IN ('r', 'm') AND c.relnamespace = current_schema()::regnamespace
      UNION ALL
        SELECT c.relname, c.relname, 'values', t.relpages,
               CASE WHEN t.reltuples >= 0 THEN t.reltuples * 2036 / 8168 END
        FROM pg_class AS c JOIN pg_class AS t ON t.oid = c.reltoastrelid
        WHERE c.relnamespace = current_schema()::regnamespace
      UNION ALL
        SELECT i.relname, c.relname, 'index', i.relpages,
               CASE WHEN m.amname <> 'btree' OR x.indexprs IS NOT NULL OR i.reltuples < 0 THEN NULL
                    WHEN i.reltuples = 0 THEN 0 ELSE i.reltuples / (0.9 * 8152) * (12 + (
                        SELECT sum(bytes) FROM widths WHERE attrelid = c.oid AND attnum = ANY (x.indkey)))
               END
        FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_class AS c ON c.oid = x.indrelid
        JOIN pg_am AS m ON m.oid = i.relam
        WHERE i.relkind = 'i' AND c.relnamespace = current_schema()::regnamespace
    )
    SELECT name, table_name, kind, relpages::bigint * 8192 AS bytes,
           (greatest(0, relpages - needed) * 8192)::bigint AS spare_bytes
    FROM parts ORDER BY relpages DESC, name
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
    changed: int
    """Since its statistics for the planner were made."""
    vacuumed_at: datetime | None
    """By hand or by autovacuum, since the statistics were last reset."""
    analyzed_at: datetime | None

    @property
    def dead_share(self) -> float:
        return self.dead / (self.live + self.dead) if self.dead else 0.0


@dataclass(frozen=True)
class Room:
    """Disk of a table (its rows, its large values) or of an index, and what of it is empty by estimate."""

    name: str
    table_name: str
    kind: str
    bytes: int
    spare_bytes: int
    """0 also where it cannot be estimated."""

    @property
    def spare_share(self) -> float:
        return self.spare_bytes / self.bytes if self.bytes else 0.0


@dataclass(frozen=True)
class OpenTransaction:
    """A transaction that has been open for long: vacuum removes nothing that it might still read."""

    pid: int
    state: str
    application: str
    open_s: float


def tables_upkeep(connection: Connection) -> list[TableUpkeep]:
    """List the tables of the schema, partitions and the queue's included, by name."""
    return [TableUpkeep(**row._mapping) for row in connection.execute(_TABLES)]


def rooms(connection: Connection) -> list[Room]:
    """List what the tables and indexes of the schema take, the largest first."""
    return [Room(**row._mapping) for row in connection.execute(_ROOM)]


def coarse_dead_share(table: TableUpkeep) -> float:
    """Return the share of dead rows as metrics show it: 0 below `MIN_DEAD_ROWS`, else in whole steps.

    >>> coarse_dead_share(TableUpkeep("incidents", 100_000, 30_001, 0, None, None))
    0.25
    """
    return 0.0 if table.dead < MIN_DEAD_ROWS else _in_steps(table.dead_share)


def coarse_room(parts: Sequence[Room]) -> tuple[int, float]:
    """Return bytes and spare share of a table with its indexes as metrics show them, in whole steps.

    >>> coarse_room([Room("a", "a", "table", 700 << 20, 0), Room("i", "a", "index", 290 << 20, 300 << 20)])
    (1023410176, 0.3)
    """
    n_bytes = sum(part.bytes for part in parts)
    spare = sum(part.spare_bytes for part in parts)
    share = spare / n_bytes if spare >= MIN_SPARE_BYTES else 0.0
    return n_bytes // BYTES_STEP * BYTES_STEP, _in_steps(share)


def _in_steps(share: float) -> float:
    return round(round(share / SHARE_STEP) * SHARE_STEP, 2)


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
