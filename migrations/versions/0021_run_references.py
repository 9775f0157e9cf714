"""what refers to a training run is found by an index, so that old runs are forgotten quickly

Revision ID: 0021
Revises: 0020
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TABLES = ("model_versions", "schedule_ticks", "erasures")


def upgrade() -> None:
    for table in TABLES:
        op.create_index(f"ix_{table}_run", table, ["run_id"])


def downgrade() -> None:
    for table in TABLES:
        op.drop_index(f"ix_{table}_run", table)
