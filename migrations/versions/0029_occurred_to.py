"""incidents may have an interval of time

Revision ID: 0029
Revises: 0028
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("incidents", sa.Column("occurred_to", sa.DateTime(timezone=True)))
    # Not checked against what is stored, which has none: a scan would lock a large table.
    op.execute(
        "ALTER TABLE incidents ADD CONSTRAINT ck_incidents_interval"
        " CHECK (occurred_to > occurred_at) NOT VALID"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_incidents_interval"), "incidents", type_="check")
    op.drop_column("incidents", "occurred_to")
