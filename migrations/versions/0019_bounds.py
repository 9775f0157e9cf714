"""every text and every JSON value has a size that it may not pass

Revision ID: 0019
Revises: 0018
"""

import logging

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_log = logging.getLogger("hotslot.migrations")
KIB, MIB = 1 << 10, 1 << 20
MAX_MAPPING_BYTES = 8_000
CHARS = {
    "regions": {"id": 63, "name": 200, "timezone": 64, "crs": 64},
    "categories": {"name": 200},
    "uploads": {"idempotency_key": 255, "body_sha256": 128, "source": 300},
    "incidents": {"external_id": 200, "source": 20},
    "incident_history": {"external_id": 200, "action": 20},
    "training_runs": {"status": 20, "message": 1000, "model_version": 200},
    "backtests": {"status": 20, "message": 1000},
    "sync_runs": {"status": 20, "message": 1000},
    "model_versions": {
        "version": 200,
        "model": 64,
        "artifact_sha256": 64,
        "grid_sha256": 64,
        "data_hash": 128,
        "forecasts_sha256": 64,
    },
    "artifacts": {"sha256": 64},
    "grids": {"sha256": 64, "crs": 64},
    "forecast_grids": {"version": 200},
    "champions": {"version": 200},
    "promotions": {"version": 200, "previous_version": 200, "reason": 1000, "action": 20},
    "api_keys": {"id": 64, "name": 200, "secret_sha256": 128, "previous_sha256": 128},
    "audit_log": {
        "chain": 64,
        "actor": 400,
        "action": 64,
        "details": 16_000,
        "previous_hash": 64,
        "hash": 64,
    },
    "audit_heads": {"chain": 64, "hash": 64},
    "erasures": {"what": 20},
    "erased_versions": {"version": 200},
    "schedules": {"model": 64, "cron": 200, "failure": 1000},
    "schedule_ticks": {"cause": 20},
    "live_scores": {"version": 200},
    "released_scores": {"version": 200},
    "withheld_versions": {"version": 200},
    "drift_checks": {"version": 200, "kind": 20},
    "alarms": {"version": 200, "kind": 20, "message": 1000},
    "sync_sources": {"name": 63, "cron": 200, "last_error": 1000},
}
BYTES = {
    "regions": {"settings": MIB, "boundary": 64 * MIB, "neighbourhoods": 64 * MIB},
    "uploads": {"summary": MIB, "report": MIB},
    "incident_history": {"before": 8 * KIB},
    "training_runs": {"request": 2 * MIB, "metrics": 64 * MIB},
    "backtests": {"request": 2 * MIB, "result": 256 * MIB},
    "sync_runs": {"request": 64 * KIB, "metrics": 64 * KIB},
    "model_versions": dict.fromkeys(
        ("categories", "settings", "provenance", "report", "scores", "counts", "gate"), 64 * MIB
    ),
    "releases": {"categories": 64 * MIB},
    "grids": {"boundary": 64 * MIB},
    "api_keys": {"roles": 64 * KIB, "regions": MIB},
    "drift_checks": {"details": MIB},
    "alarms": {"details": MIB},
    "sync_sources": {"spec": 64 * KIB, "state": 64 * KIB, "counts": 64 * KIB},
}


FREE_TEXTS = {
    "regions": ("id", ("name",)),
    "api_keys": ("id", ("name",)),
    "uploads": ("id", ("source",)),
    "training_runs": ("id", ("message",)),
    "backtests": ("id", ("message",)),
    "sync_runs": ("id", ("message",)),
    "promotions": ("id", ("reason",)),
    "schedules": ("region_key", ("failure",)),
    "alarms": ("id", ("message",)),
    "sync_sources": ("key", ("last_error",)),
}
"""{table: (what names a row, columns that may be cut)}; other texts are ids, hashes and fixed words."""
TOLD = 20


def upgrade() -> None:
    for table, (key, columns) in FREE_TEXTS.items():
        for column in columns:
            limit = CHARS[table][column]
            short = f"left({column}, {limit})"
            change(table, key, column, f"char_length({column}) > {limit}", short, "cut")
    shorten_uploads()
    shorten_requests()
    drop_mappings()
    for table, columns in CHARS.items():
        bound(table, {f"char_length({column})": limit for column, limit in columns.items()})
    for table, columns in BYTES.items():
        bound(table, {f"pg_column_size({column})": limit for column, limit in columns.items()})


def downgrade() -> None:
    for bounds in (CHARS, BYTES):
        for table, columns in bounds.items():
            for column in columns:
                op.drop_constraint(op.f(f"ck_{table}_{column}_bound"), table, type_="check")


def larger(column: str, limit: int) -> str:
    """Whether a stored JSON value is larger, which compressed may take a hundredth of its size."""
    return f"pg_column_size({column}) > {limit // 200} AND octet_length({column}::text) > {limit}"


def change(table: str, key: str, column: str, condition: str, value: str, done: str) -> None:
    """Change a column where earlier versions let in more than now, and log of which rows.

    A later change of such a row, of whatever column, would be refused.
    """
    rows = op.get_bind().execute(
        sa.text(
            f"UPDATE {table} SET {column} = {value} WHERE {condition} RETURNING {key}"  # noqa: S608
        )
    )
    say(f"{table}.{column}", key, [str(row[0]) for row in rows], done)


def say(where: str, key: str, names: list[str], done: str) -> None:
    """Log what is not as it was."""
    if names:
        shown = ", ".join(names[:TOLD]) + (", ..." if len(names) > TOLD else "")
        _log.warning(
            "%s was longer than may be stored and is %s: %d rows (%s %s)",
            where, done, len(names), key, shown,
        )  # fmt: skip


def shorten_uploads() -> None:
    """Idempotency keys stay apart by their hash; new uploads may not name so long ones."""
    limit = CHARS["uploads"]["idempotency_key"]
    key = "left(idempotency_key, 200) || ' ' || md5(idempotency_key)"
    long = f"char_length(idempotency_key) > {limit}"
    change("uploads", "id", "idempotency_key", long, key, "cut")
    bare = "jsonb_set(summary, '{errors}', '[]')"
    change("uploads", "id", "summary", larger("summary", MIB), bare, "without its errors")
    change("uploads", "id", "report", larger("report", MIB), "'{}'", "left out")


def shorten_requests() -> None:
    """A queued training of more names than a request may have fails and says so."""
    short = (
        "jsonb_set(request, '{categories}',"
        " jsonb_build_array('left out: ' || jsonb_array_length(request -> 'categories')"
        " || ' categories, longer than a request may be'))"
    )
    long = f"{larger('request', MIB)} AND jsonb_typeof(request -> 'categories') = 'array'"
    change("training_runs", "id", "request", long, short, "without its categories")


def drop_mappings() -> None:
    """Mappings that name columns longer than any file has."""
    kept = sa.text(
        "SELECT id, kept.name FROM regions, jsonb_each(settings -> 'mappings') AS kept(name, mapping)"
        " WHERE settings ? 'mappings' AND octet_length(mapping::text) > :limit ORDER BY 1, 2"
    )
    for region, name in op.get_bind().execute(kept, {"limit": MAX_MAPPING_BYTES}).all():
        op.get_bind().execute(
            sa.text("UPDATE regions SET settings = settings #- :path WHERE id = :region"),
            {"path": ["mappings", name], "region": region},
        )
        say(f"a column mapping of region {region}", "mapping", [name], "removed")


def bound(table: str, sizes: dict[str, int]) -> None:
    """What is there already is not read: tables may be large, and a scan would hold them closed."""
    for size, limit in sizes.items():
        column = size.partition("(")[2].rstrip(")")
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{column}_bound"
            f" CHECK ({size} <= {limit}) NOT VALID"
        )
