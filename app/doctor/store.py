"""What the doctor asks the database; statistics, catalogues and small tables alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from app.core.db.tables import metadata

QUEUE_TABLES = (
    "procrastinate_jobs",
    "procrastinate_events",
    "procrastinate_workers",
    "procrastinate_periodic_defers",
)
_SERVER = text(
    """
    SELECT current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS is_replica,
           pg_encoding_to_char(encoding) AS encoding, current_user::text AS user_name,
           current_setting('max_connections')::int
               - current_setting('superuser_reserved_connections')::int AS places,
           (SELECT sum(numbackends) FROM pg_stat_database)::int AS used,
           has_database_privilege(current_database(), 'TEMPORARY') AS may_use_temporary,
           EXISTS (SELECT FROM pg_language WHERE lanname = 'plpgsql') AS has_plpgsql
    FROM pg_database WHERE datname = current_database()
    """
)
_SWITCHED_OFF = text(
    "SELECT name FROM pg_settings WHERE name = ANY(:names) AND setting = 'off' ORDER BY name"
)
_CLOCK = text("SELECT clock_timestamp()")
_TABLES = text(
    """
    SELECT name, to_regclass(quote_ident(name)) IS NULL AS is_missing,
           ARRAY(SELECT act FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS act
                 WHERE NOT has_table_privilege(to_regclass(quote_ident(name)), act)) AS lacks
    FROM unnest(CAST(:names AS text[])) AS name ORDER BY name
    """
)
_PREPARED = text(
    """
    SELECT gid AS name, extract(epoch FROM now() - prepared)::float8 AS age_s FROM pg_prepared_xacts
    WHERE database = current_database() AND prepared < now() - make_interval(secs => :older_s)
    """
)
_SLOTS = text(
    """
    SELECT slot_name AS name, pg_wal_lsn_diff(
               CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
               restart_lsn)::bigint AS retained_bytes
    FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL
    """
)
_INVALID = text(
    """
    SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname = current_schema() ORDER BY 1
    """
)
_KNOWS_ZONE = text("SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = :zone)")
_LOST_JOBS = text(
    """
    SELECT count(*) FROM procrastinate_jobs AS j LEFT JOIN procrastinate_workers AS w ON w.id = j.worker_id
    WHERE j.status = 'doing'
      AND (w.id IS NULL OR w.last_heartbeat < now() - make_interval(secs => :stalled_s))
    """
)
_MAINTAINED = text(
    "SELECT max(defer_timestamp) FROM procrastinate_periodic_defers WHERE periodic_id = 'maintenance'"
)
# The hash of a megabyte takes milliseconds: only so many bytes are read, those last promoted first.
_DAMAGED = text(
    """
    SELECT region, version FROM (
        SELECT r.id AS region, c.version, v.artifact_sha256, a.content,
               sum(a.size_bytes) OVER (ORDER BY c.promoted_at DESC, c.region_key) AS read_bytes
        FROM champions AS c JOIN regions AS r ON r.key = c.region_key
        JOIN model_versions AS v ON v.region_key = c.region_key AND v.version = c.version
        JOIN artifacts AS a ON a.sha256 = v.artifact_sha256
    ) AS served
    WHERE CASE WHEN read_bytes <= :budget
               THEN encode(sha256(content), 'hex') <> artifact_sha256 ELSE false END
    ORDER BY region
    """
)
_SERVED = text(
    """
    SELECT r.id AS region, r.key AS region_key, c.version,
           coalesce(s.data_until, v.cutoff) AS data_until, n.releases, n.since
    FROM champions AS c JOIN regions AS r ON r.key = c.region_key
    JOIN model_versions AS v ON v.region_key = c.region_key AND v.version = c.version
    LEFT JOIN LATERAL (
        SELECT max(release) AS release, max(data_until) AS data_until FROM forecast_states AS s
        WHERE s.region_key = c.region_key AND s.version = c.version
    ) AS s ON true
    LEFT JOIN LATERAL (
        SELECT count(*)::int AS releases, min(l.created_at) AS since FROM releases AS l
        WHERE l.region_key = c.region_key AND l.until > v.cutoff AND l.seq > coalesce(s.release, 0)
          AND l.created_at < now() - make_interval(secs => :older_s)
    ) AS n ON true
    ORDER BY r.id
    """
)


@dataclass(frozen=True)
class Served:
    """What a region serves, and how many older releases its last state does not know."""

    region: str
    region_key: int
    version: str
    data_until: datetime
    releases: int
    since: datetime | None


def server(connection: Connection) -> Row[Any]:
    """Return version, role, encoding, connections and rights of the server and of this user."""
    return connection.execute(_SERVER).one()


def switched_off(connection: Connection, names: Sequence[str]) -> list[str]:
    """Return which of these settings of the server are off."""
    return list(connection.scalars(_SWITCHED_OFF, {"names": list(names)}))


def clock(connection: Connection) -> datetime:
    """Return the database's time at this moment, not that of the transaction's start."""
    found: datetime = connection.execute(_CLOCK).scalar_one()
    return found


def tables(connection: Connection) -> list[Row[Any]]:
    """Return (name, is_missing, lacks) of all tables that hotslot uses; `lacks` lists rights."""
    return list(connection.execute(_TABLES, {"names": [*metadata.tables, *QUEUE_TABLES]}))


def prepared_transactions(connection: Connection, older_s: float) -> list[Row[Any]]:
    """Return (name, age_s) of forgotten two-phase transactions."""
    return list(connection.execute(_PREPARED, {"older_s": older_s}))


def unused_slots(connection: Connection) -> list[Row[Any]]:
    """Return (name, retained_bytes) of replication slots without a replica."""
    return list(connection.execute(_SLOTS))


def invalid_indexes(connection: Connection) -> list[str]:
    """Return the names of indexes that no query uses because their creation failed."""
    return list(connection.scalars(_INVALID))


def knows_zone(connection: Connection, zone: str) -> bool:
    """Return whether the database knows a time zone."""
    return bool(connection.scalar(_KNOWS_ZONE, {"zone": zone}))


def lost_jobs(connection: Connection, stalled_s: float) -> int:
    """Count jobs marked as running whose worker has had no heartbeat for so long."""
    return int(connection.scalar(_LOST_JOBS, {"stalled_s": stalled_s}) or 0)


def last_maintenance(connection: Connection) -> datetime | None:
    """Return when maintenance was last queued."""
    found = connection.scalar(_MAINTAINED)
    return None if found is None else datetime.fromtimestamp(int(found), UTC)


def damaged_artifacts(connection: Connection, budget_bytes: int) -> list[Row[Any]]:
    """Return (region, version) of champions whose artifact does not match its hash.

    Args:
        budget_bytes: how much is read at most; the champions last promoted come first.
    """
    return list(connection.execute(_DAMAGED, {"budget": budget_bytes}))


def served_versions(connection: Connection, older_s: float) -> list[Served]:
    """List what regions serve, with releases older than `older_s` that their states lack."""
    found = connection.execute(_SERVED, {"older_s": older_s})
    return [Served(**row._mapping) for row in found]
