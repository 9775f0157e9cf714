"""live scores of states

Revision ID: 0028
Revises: 0027
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("live_scores", sa.Column("state_gain_sum", sa.Double))
    op.add_column("live_scores", sa.Column("state_lead_days", sa.Integer))


def downgrade() -> None:
    op.drop_column("live_scores", "state_lead_days")
    op.drop_column("live_scores", "state_gain_sum")
