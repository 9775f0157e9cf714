"""details that could single out an incident leave the audit log; the chains still verify

Places, times and categories of exports, categories and ends of trainings, origins of backtests and
hashes of uploads are taken out of existing entries. These keep their hashes, so that later entries and
anchors still follow; what remains of them is covered by an entry appended to each chain.

Revision ID: 0017
Revises: 0016
"""

import hashlib
import json
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_COUNT = """
    CASE WHEN jsonb_typeof(d -> '{0}') = 'array' THEN to_jsonb(jsonb_array_length(d -> '{0}'))
    ELSE 'null'::jsonb END
"""
REDUCED = {
    "ingest": ("d ? 'body_sha256'", "d - 'body_sha256'"),
    "export": (
        "d ? 'asked'",
        (
            "jsonb_build_object('incidents', d -> 'incidents', 'format', d #> '{asked,format}', 'filters',"
            " (SELECT count(*) FROM jsonb_each(d -> 'asked')"
            "  WHERE key <> 'format' AND value <> 'null'::jsonb))"
        ),
    ),
    "training.requested": (
        "jsonb_typeof(d -> 'categories') = 'array' OR jsonb_typeof(d -> 'until') = 'string'",
        "d || jsonb_build_object('until', jsonb_typeof(d -> 'until') = 'string', 'categories',"
        + _COUNT.format("categories")
        + ")",
    ),
    "backtest.requested": (
        "jsonb_typeof(d -> 'origins') = 'array'",
        "d || jsonb_build_object('origins'," + _COUNT.format("origins") + ")",
    ),
}


def upgrade() -> None:
    connection = op.get_bind()
    op.execute("ALTER TABLE audit_log DISABLE TRIGGER audit_log_only_grows")
    for action, (sensitive, reduced) in REDUCED.items():
        connection.execute(
            sa.text(
                f"UPDATE audit_log AS a SET details = (({reduced}) || jsonb_build_object('blanked', true))"  # noqa: S608
                "::text FROM (SELECT chain, seq, details::jsonb AS d FROM audit_log"
                " WHERE action = :action) AS old"
                f" WHERE a.chain = old.chain AND a.seq = old.seq AND ({sensitive})"
            ),
            {"action": action},
        )
    op.execute("ALTER TABLE audit_log ENABLE TRIGGER audit_log_only_grows")
    blanked = "details LIKE '%\"blanked\": true%'"
    chains = connection.scalars(
        sa.text(f"SELECT DISTINCT chain FROM audit_log WHERE {blanked}")  # noqa: S608
    ).all()
    for chain in chains:
        entries = connection.execute(
            sa.text(
                f"SELECT * FROM audit_log WHERE chain = :chain AND {blanked} ORDER BY seq"  # noqa: S608
            ),
            {"chain": chain},
        )
        _append(connection, chain, entries)


def _append(connection: sa.Connection, chain: str, entries: sa.CursorResult) -> None:
    """Add the entry that covers what remains."""
    remains, n = hashlib.sha256(), 0
    for e in entries:
        kept = [e.seq, _iso(e.at), e.actor, e.action, e.details, e.hash]
        remains.update(_canonical(kept).encode() + b"\n")
        n += 1
    head = connection.execute(
        sa.text("SELECT seq, hash FROM audit_heads WHERE chain = :chain FOR UPDATE"),
        {"chain": chain},
    ).one()
    details = _canonical({"entries": n, "sha256": remains.hexdigest()})
    values = {"chain": chain, "seq": head.seq + 1, "at": datetime.now(UTC), "actor": "upkeep"}
    values |= {"action": "details.blanked", "details": details, "previous_hash": head.hash}
    content = [*(_iso(v) if isinstance(v, datetime) else v for v in values.values())]
    values["hash"] = hashlib.sha256(_canonical(content).encode()).hexdigest()
    connection.execute(
        sa.text(
            "INSERT INTO audit_log (chain, seq, at, actor, action, details, previous_hash, hash)"
            " VALUES (:chain, :seq, :at, :actor, :action, :details, :previous_hash, :hash)"
        ),
        values,
    )
    connection.execute(
        sa.text("UPDATE audit_heads SET seq = :seq, hash = :hash WHERE chain = :chain"), values
    )


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
