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
_SERVER = """
    SELECT current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS is_replica,
           pg_encoding_to_char(encoding) AS encoding, current_user::text AS user_name,
           current_setting('max_connections')::int
               - current_setting('superuser_reserved_connections')::int AS places,
           (SELECT sum(numbackends) FROM pg_stat_database)::int AS used,
           has_database_privilege(current_database(), 'TEMPORARY') AS may_use_temporary,
           EXISTS (SELECT FROM pg_language WHERE lanname = 'plpgsql') AS has_plpgsql,
           {collation}
    FROM pg_database AS d WHERE datname = current_database()
    """
# Of the libraries that order texts: known since PostgreSQL 15.
_COLLATION = (
    "d.datcollversion AS collation_was, pg_database_collation_actual_version(d.oid) AS collation"
)
_NO_COLLATION = "NULL AS collation_was, NULL AS collation"
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
# What a server on this machine writes into, as far as this user may ask.
_FOLDERS = text(
    """
    SELECT folder FROM (
        SELECT CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE')
                    THEN current_setting('data_directory') END AS folder
        UNION ALL SELECT nullif(pg_tablespace_location(oid), '') FROM pg_tablespace
    ) AS folders
    WHERE folder IS NOT NULL
      AND (inet_server_addr() IS NULL OR inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1')
    """
)
_ARCHIVER = text(
    """
    SELECT last_failed_wal AS file, last_failed_time AS since FROM pg_stat_archiver
    WHERE last_failed_time > coalesce(last_archived_time, '-infinity')
      AND current_setting('archive_mode') <> 'off'
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
_WORKER_CLOCKS = text(
    """
    SELECT machine, clock_ahead_s FROM worker_processes
    WHERE heartbeat_at > now() - make_interval(secs => :stalled_s) AND abs(clock_ahead_s) > :most_s
    ORDER BY machine, clock_ahead_s
    """
)
_DEAD_DELIVERIES = text(
    """
    SELECT r.id AS region, s.name AS subscription, count(*) AS n,
           (array_agg(d.failure ORDER BY d.ended_at DESC))[1] AS failure
    FROM deliveries AS d JOIN subscriptions AS s ON s.key = d.subscription_key
    JOIN regions AS r ON r.key = s.region_key
    WHERE d.status = 'dead' AND d.ended_at > now() - make_interval(days => :days)
    GROUP BY r.id, s.name ORDER BY r.id, s.name
    """
)
# Those that ended, the newest first; one that succeeded clears all before it.
_FAILED_SCHEDULES = text(
    """
    SELECT r.id AS region, n.failed, n.message FROM schedules AS s JOIN regions AS r ON r.key = s.region_key
    CROSS JOIN LATERAL (
        SELECT count(*) AS failed, (array_agg(message ORDER BY tick_at DESC))[1] AS message,
               bool_and(status = 'failed') AS all_failed
        FROM (
            SELECT t.tick_at, u.status, u.message FROM schedule_ticks AS t
            JOIN training_runs AS u ON u.id = t.run_id
            WHERE t.region_key = s.region_key AND u.status IN ('succeeded', 'failed')
            ORDER BY t.tick_at DESC LIMIT :n
        ) AS newest
    ) AS n
    WHERE n.all_failed AND n.failed = :n ORDER BY r.id
    """
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
    """Return version, role, encoding, collation, connections and rights of the server and of this user."""
    is_known = (connection.dialect.server_version_info or (0,)) >= (15,)
    collation = _COLLATION if is_known else _NO_COLLATION
    return connection.execute(text(_SERVER.format(collation=collation))).one()


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


def local_folders(connection: Connection) -> list[str]:
    """Return the folders of a server that runs on this machine; empty: it does not, or hides them."""
    return list(connection.scalars(_FOLDERS))


def archiver(connection: Connection) -> Row[Any] | None:
    """Return (file, since) of a piece of the log that could not be archived, or None."""
    return connection.execute(_ARCHIVER).one_or_none()


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


def wrong_worker_clocks(connection: Connection, stalled_s: float, most_s: float) -> list[Row[Any]]:
    """Return (machine, clock_ahead_s) of living workers whose clock is off the database's."""
    return list(connection.execute(_WORKER_CLOCKS, {"stalled_s": stalled_s, "most_s": most_s}))


def dead_deliveries(connection: Connection, days: int) -> list[Row[Any]]:
    """Return (region, subscription, n, failure) of what was given up within so many days."""
    return list(connection.execute(_DEAD_DELIVERIES, {"days": days}))


def failed_schedules(connection: Connection, n: int) -> list[Row[Any]]:
    """Return (region, failed, message) of schedules of whose trainings the last `n` all failed."""
    return list(connection.execute(_FAILED_SCHEDULES, {"n": n}))


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
