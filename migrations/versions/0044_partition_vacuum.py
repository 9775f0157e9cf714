"""vacuum of incidents from 5 % dead or new rows of a partition

Revision ID: 0044
Revises: 0042
"""

from alembic import op
from sqlalchemy import text

revision = "0044"
down_revision = "0042"
branch_labels = None
depends_on = None

OPTIONS = {
    "autovacuum_vacuum_scale_factor": 0.05,
    "autovacuum_vacuum_insert_scale_factor": 0.05,
}
PARTITIONS = text(
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^incidents_p[0-9]+$'"
)


def upgrade() -> None:
    options = ", ".join(f"{name} = {value}" for name, value in OPTIONS.items())
    for partition in op.get_bind().scalars(PARTITIONS).all():
        op.execute(f"ALTER TABLE {partition} SET ({options})")


def downgrade() -> None:
    for partition in op.get_bind().scalars(PARTITIONS).all():
        op.execute(f"ALTER TABLE {partition} RESET ({', '.join(OPTIONS)})")
