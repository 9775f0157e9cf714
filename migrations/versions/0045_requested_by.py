"""who asked for a run, so that callers share the queue

Revision ID: 0045
Revises: 0044
"""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

TABLES = ("training_runs", "backtests", "sync_runs")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("requested_by", sa.Text))
        op.create_check_constraint(
            op.f(f"ck_{table}_requested_by_bound"), table, "char_length(requested_by) <= 300"
        )


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "requested_by")
