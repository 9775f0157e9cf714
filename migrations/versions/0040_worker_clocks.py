"""how far the clocks of workers are off the database's

Revision ID: 0040
Revises: 0038
"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("worker_processes", sa.Column("clock_ahead_s", sa.Double))
    op.add_column("worker_processes", sa.Column("machine", sa.Text))
    op.create_check_constraint(
        op.f("ck_worker_processes_machine_bound"), "worker_processes", "char_length(machine) <= 100"
    )


def downgrade() -> None:
    op.drop_column("worker_processes", "machine")
    op.drop_column("worker_processes", "clock_ahead_s")
