"""pages of one category, however rare it is

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_incidents_region_category_time",
        "incidents",
        ["region_key", "category_key", "occurred_at", "id"],
    )


def downgrade() -> None:
    op.drop_index("ix_incidents_region_category_time", "incidents")
