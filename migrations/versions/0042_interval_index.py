"""an index of intervals and one of references

Revision ID: 0042
Revises: 0039
"""

from alembic import op
from sqlalchemy import text

revision = "0042"
down_revision = "0039"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_incidents_intervals": "(region_key, occurred_at, id, occurred_to) WHERE occurred_to IS NOT NULL",
    "ix_incidents_reference": "(region_key, reference) WHERE reference IS NOT NULL",
}


def upgrade() -> None:
    # Writers wait for one reading of the table; readers go on.
    for table, suffix in tables().items():
        for name, columns in INDEXES.items():
            op.execute(f"CREATE INDEX {name}{suffix} ON {table} {columns}")


def downgrade() -> None:
    for suffix in tables().values():
        for name in INDEXES:
            op.execute(f"DROP INDEX {name}{suffix}")


def tables() -> dict[str, str]:
    """Return {table of incidents: what its indexes' names end with}: two while an older one is copied."""
    found = {"incidents": ""}
    if op.get_bind().scalar(text("SELECT to_regclass('incidents_next') IS NOT NULL")):
        found["incidents_next"] = "_next"
    return found
