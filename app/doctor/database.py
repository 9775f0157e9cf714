"""The database server: version, rights, schema, clock, dead rows and open transactions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from app.core.db.engine import MIN_SERVER_VERSION, NEWEST_TESTED_VERSION
from app.core.db.schema import head_revision, schema_is_current
from app.core.settings import Settings
from app.doctor import store
from app.doctor.findings import Finding, finding
from app.monitoring.upkeep_store import (
    MIN_DEAD_ROWS,
    open_transactions,
    tables_upkeep,
    transaction_ids_used,
)

MAX_USED = 0.9
MAX_CLOCK_S = 5.0
MAX_DEAD = 0.3
"""Autovacuum begins at a fifth; a third means that it does not come, or cannot remove anything."""
MAX_IDS_USED = 0.35
"""Autovacuum freezes at a tenth (autovacuum_freeze_max_age, 200 million)."""
IDLE_S, WORKING_S, PREPARED_S = 900.0, 7200.0, 3600.0
MAX_RETAINED_BYTES = 1 << 30
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
    if found.encoding != "UTF8":
        yield finding("encoding", encoding=found.encoding)
    if not found.has_plpgsql:
        yield finding("language_missing")
    if not found.may_use_temporary:
        yield finding("rights_missing", user=found.user_name, rights="TEMPORARY on the database")
    if found.used >= MAX_USED * found.places:
        yield finding("connections_scarce", used=found.used, places=found.places)
    wanted = 2 * settings.database_pool_size
    if wanted > found.places:
        yield finding("pool_too_large", wanted=wanted, places=found.places)
    for name in store.switched_off(connection, tuple(WHY_ON)):
        yield finding("server_setting", name=name, value="off", why=WHY_ON[name])


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
    """Find tables full of dead rows, ids that run out, and what keeps vacuum from its work."""
    for table in tables_upkeep(connection):
        if table.dead >= MIN_DEAD_ROWS and table.dead_share > MAX_DEAD:
            at = "never" if table.vacuumed_at is None else f"{table.vacuumed_at:%Y-%m-%d %H:%M}"
            params = {"table": table.name, "share": round(table.dead_share, 3), "dead": table.dead}
            yield finding("dead_rows", vacuumed_at=at, **params)
    used = transaction_ids_used(connection)
    if used > MAX_IDS_USED:
        yield finding("ids_run_out", share=round(used, 3))
    for open_one in open_transactions(connection, idle_s=IDLE_S, working_s=WORKING_S):
        yield finding(
            "open_transaction",
            pid=open_one.pid,
            state=open_one.state or "state unknown",
            application=open_one.application or "an unnamed client",
            minutes=round(open_one.open_s / 60),
        )
    for prepared in store.prepared_transactions(connection, PREPARED_S):
        yield finding("prepared_transaction", name=prepared.name, hours=prepared.age_s / 3600)
    for slot in store.unused_slots(connection):
        if slot.retained_bytes > MAX_RETAINED_BYTES:
            yield finding("replication_slot", name=slot.name, mb=slot.retained_bytes >> 20)
    for index in store.invalid_indexes(connection):
        yield finding("index_invalid", index=index)
