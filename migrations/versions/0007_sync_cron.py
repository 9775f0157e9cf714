"""Sources may be read by a cron expression."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("sync_sources", sa.Column("cron", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_sync_sources_one_schedule"), "sync_sources", "every_s IS NULL OR cron IS NULL"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_sync_sources_one_schedule"), "sync_sources")
    op.drop_column("sync_sources", "cron")
