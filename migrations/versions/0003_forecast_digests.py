"""a digest beside every stored forecast

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("forecast_grids", sa.Column("digest", sa.LargeBinary(), nullable=True))
    op.execute(
        """
        UPDATE forecast_grids SET digest = sha256(convert_to(
            concat_ws(':', region_key, version, category_code, "window", ''), 'UTF8') || cell_values)
        """
    )
    op.alter_column("forecast_grids", "digest", nullable=False)


def downgrade() -> None:
    op.drop_column("forecast_grids", "digest")
