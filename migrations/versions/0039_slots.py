"""memory that runs took, and which jobs a worker takes

Revision ID: 0039
Revises: 0040
"""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0040"
branch_labels = None
depends_on = None

RUNS = ("training_runs", "backtests", "sync_runs")


def upgrade() -> None:
    for table in RUNS:
        op.add_column(table, sa.Column("peak_memory_bytes", sa.BigInteger(), nullable=True))
    op.add_column(
        "worker_processes",
        sa.Column("takes", sa.Text(), server_default=sa.text("'all'"), nullable=False),
    )
    op.create_check_constraint(
        op.f("ck_worker_processes_takes"), "worker_processes", "takes IN ('all', 'gpu', 'cpu')"
    )


def downgrade() -> None:
    op.drop_column("worker_processes", "takes")
    for table in RUNS:
        op.drop_column(table, "peak_memory_bytes")
