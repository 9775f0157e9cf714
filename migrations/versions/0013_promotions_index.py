"""a region's changes of champion, of which there may be one an hour

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_promotions_region_id", "promotions", ["region_key", "id"])
