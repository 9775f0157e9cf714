"""how often a run itself failed, apart from what befell its worker or the database

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = ("training_runs", "backtests", "sync_runs")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(
            table, sa.Column("failures", sa.Integer(), nullable=False, server_default=sa.text("0"))
        )


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "failures")
