"""The database server: version, rights, schema, clock, dead rows and open transactions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Row

from app.core.db.engine import MIN_SERVER_VERSION, NEWEST_TESTED_VERSION
from app.core.db.schema import head_revision, schema_is_current
from app.core.settings import Settings
from app.doctor import store
from app.doctor.findings import Finding, finding
from app.doctor.machine import check_places, there
from app.monitoring import upkeep_limits as limits
from app.monitoring.upkeep_store import (
    open_transactions,
    rooms,
    tables_upkeep,
    transaction_ids_used,
)

MAX_USED = 0.9
MAX_CLOCK_S = 5.0
WHY_ON = {
    "autovacuum": "dead rows stay for good; set it to on",
    "fsync": "a power failure destroys the database; set it to on",
    "full_page_writes": "a power failure can destroy pages; set it to on",
    "track_counts": "autovacuum does not know what to do; set it to on",
}


def check_server(connection: Connection, settings: Settings) -> Iterator[Finding]:
    """Find a server that is too old, a replica, or short of connections, and settings that lose data."""
    found = store.server(connection)
    major = found.version // 10_000
    if found.version < MIN_SERVER_VERSION:
        yield finding("server_too_old", version=major)
    if major > NEWEST_TESTED_VERSION:
        yield finding("server_untested", version=major, newest=NEWEST_TESTED_VERSION)
    if found.is_replica:
        yield finding("database_is_replica")
    yield from _check_language(found)
    if not found.may_use_temporary:
        yield finding("rights_missing", user=found.user_name, rights="TEMPORARY on the database")
    if found.used >= MAX_USED * found.places:
        yield finding("connections_scarce", used=found.used, places=found.places)
    wanted = 2 * settings.database_pool_size
    if wanted > found.places:
        yield finding("pool_too_large", wanted=wanted, places=found.places)
    for name in store.switched_off(connection, tuple(WHY_ON)):
        yield finding("server_setting", name=name, value="off", why=WHY_ON[name])


def _check_language(found: Row[Any]) -> Iterator[Finding]:
    if found.encoding != "UTF8":
        yield finding("encoding", encoding=found.encoding)
    if not found.has_plpgsql:
        yield finding("language_missing")
    if found.collation_was is not None and found.collation_was != found.collation:
        yield finding("collation_changed", was=found.collation_was, now=found.collation)


def check_clock(connection: Connection, _settings: Settings) -> Iterator[Finding]:
    """Compare this machine's clock with the database's."""
    before = datetime.now(UTC)
    theirs = store.clock(connection)
    after = datetime.now(UTC)
    apart_s = abs((theirs - (before + (after - before) / 2)).total_seconds())
    if apart_s > MAX_CLOCK_S:
        yield finding("clocks_differ", seconds=apart_s)


def check_schema(connection: Connection, _settings: Settings) -> Iterator[Finding]:
    """Compare the schema with what this version needs, and this user's rights with what it uses."""
    revision, needed = (
        MigrationContext.configure(connection).get_current_revision(),
        head_revision(),
    )
    if revision is None:
        yield finding("schema_missing")
        return
    if not schema_is_current(connection):
        yield finding("schema_behind", found=revision, needed=needed)
        return
    if revision != needed:
        yield finding("schema_newer", found=revision)
    tables = store.tables(connection)
    missing = [table.name for table in tables if table.is_missing]
    if missing:
        yield finding("tables_missing", tables=missing)
    lacking = [f"{' '.join(t.lacks)} on {t.name}" for t in tables if t.lacks and not t.is_missing]
    if lacking:
        user = store.server(connection).user_name
        yield finding("rights_missing", user=user, rights=lacking)


def check_upkeep(connection: Connection, _settings: Settings) -> Iterator[Finding]:
    """Find tables that need vacuum or statistics, ids that run out, and what keeps vacuum from its work."""
    yield from _check_tables(connection)
    used = transaction_ids_used(connection)
    if used > limits.MAX_IDS_USED:
        yield finding("ids_run_out", share=round(used, 3))
    for open_one in open_transactions(connection, idle_s=limits.IDLE_S, working_s=limits.WORKING_S):
        yield finding(
            "open_transaction",
            pid=open_one.pid,
            state=open_one.state or "state unknown",
            application=open_one.application or "an unnamed client",
            minutes=round(open_one.open_s / 60),
        )
    for prepared in store.prepared_transactions(connection, limits.PREPARED_S):
        yield finding("prepared_transaction", name=prepared.name, hours=prepared.age_s / 3600)
    for slot in store.unused_slots(connection):
        if slot.retained_bytes > limits.MAX_RETAINED_BYTES:
            yield finding("replication_slot", name=slot.name, mb=slot.retained_bytes >> 20)
    for index in store.invalid_indexes(connection):
        yield finding("index_invalid", index=index)


def _check_tables(connection: Connection) -> Iterator[Finding]:
    full = set()
    for table in tables_upkeep(connection):
        if table.dead >= limits.MIN_DEAD_ROWS and table.dead_share > limits.MAX_DEAD:
            full.add(table.name)
            params = {"table": table.name, "share": round(table.dead_share, 3), "dead": table.dead}
            yield finding("dead_rows", vacuumed_at=_moment(table.vacuumed_at), **params)
        if (
            table.changed >= limits.MIN_CHANGED_ROWS
            and table.changed > limits.MAX_CHANGED * table.live
        ):
            params = {"table": table.name, "changed": table.changed, "rows": table.live}
            yield finding("statistics_old", analyzed_at=_moment(table.analyzed_at), **params)
    for part in rooms(connection):
        if part.spare_bytes < limits.MIN_SPARE_BYTES or part.spare_share <= limits.MAX_SPARE:
            continue
        if part.kind != "index" and part.table_name in full:  # vacuum first
            continue
        sizes = {"share": round(part.spare_share, 2), "mb": part.bytes >> 20}
        if part.kind == "index":
            yield finding("index_bloated", index=part.name, table=part.table_name, **sizes)
        else:
            yield finding("table_bloated", table=part.name, **sizes)


def _moment(at: datetime | None) -> str:
    return "never" if at is None else f"{at:%Y-%m-%d %H:%M}"


def check_storage(connection: Connection, settings: Settings) -> Iterator[Finding]:
    """Find a full disk of a database server on this machine, and a log that cannot be archived."""
    # The embedded server's folder is among those of the machine.
    folders = store.local_folders(connection) if settings.database_url is not None else []
    found = [place for place in map(Path, folders) if place.is_dir()]
    home = there(settings.home.expanduser())
    yield from check_places(found, settings, seen=[home.stat().st_dev])
    archiver = store.archiver(connection)
    if archiver is not None:
        yield finding("archiving_fails", file=archiver.file, since=_moment(archiver.since))
