"""every text and every JSON value has a size that it may not pass

Revision ID: 0019
Revises: 0018
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

KIB, MIB = 1 << 10, 1 << 20
RUNS = ("training_runs", "backtests", "sync_runs")
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


def upgrade() -> None:
    shorten()
    for table, columns in CHARS.items():
        bound(table, {f"char_length({column})": limit for column, limit in columns.items()})
    for table, columns in BYTES.items():
        bound(table, {f"pg_column_size({column})": limit for column, limit in columns.items()})


def shorten() -> None:
    """Cut what earlier versions let in and a later change of the row would be refused for."""
    for table in RUNS:
        long = "char_length(message) > 1000"
        op.execute(f"UPDATE {table} SET message = left(message, 1000) WHERE {long}")  # noqa: S608
    op.execute(
        "UPDATE training_runs SET request = jsonb_set(request, '{categories}',"
        " '[\"left out: longer than a request may be\"]') WHERE pg_column_size(request) > 1000000"
    )
    op.execute(
        "UPDATE regions SET settings = jsonb_set(settings, '{mappings}',"
        " (SELECT coalesce(jsonb_object_agg(name, mapping), '{}')"
        "  FROM jsonb_each(settings -> 'mappings') AS kept(name, mapping)"
        "  WHERE octet_length(mapping::text) <= 8000)) WHERE settings ? 'mappings'"
    )


def bound(table: str, sizes: dict[str, int]) -> None:
    """What is there already is not read: tables may be large, and a scan would hold them closed."""
    for size, limit in sizes.items():
        column = size.partition("(")[2].rstrip(")")
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{column}_bound"
            f" CHECK ({size} <= {limit}) NOT VALID"
        )
