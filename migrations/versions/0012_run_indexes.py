"""indexes for what workers and metrics ask of runs, of which years may lie in the tables

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_OPEN = sa.text("status IN ('queued', 'running')")


def upgrade() -> None:
    op.create_index("ix_training_runs_region_status", "training_runs", ["region_key", "status"])
    op.create_index(
        "ix_training_runs_region_finished", "training_runs", ["region_key", "finished_at"]
    )
    op.create_index(
        "ix_training_runs_open", "training_runs", ["region_key"], postgresql_where=_OPEN
    )
    op.create_index("ix_backtests_region_created", "backtests", ["region_key", "created_at"])
    op.create_index("ix_backtests_open", "backtests", ["region_key"], postgresql_where=_OPEN)
