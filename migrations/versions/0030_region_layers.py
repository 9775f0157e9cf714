"""layers of named areas, such as beats, stored with a region

Revision ID: 0030
Revises: 0029
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "region_layers",
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("features", JSONB(), nullable=False),
        sa.Column("n_areas", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.CheckConstraint("char_length(name) <= 63", name=op.f("ck_region_layers_name_bound")),
        sa.CheckConstraint(
            "pg_column_size(features) <= 67108864", name=op.f("ck_region_layers_features_bound")
        ),
        sa.CheckConstraint("char_length(sha256) = 64", name=op.f("ck_region_layers_sha256_bound")),
        sa.ForeignKeyConstraint(
            ["region_key"],
            ["regions.key"],
            name=op.f("fk_region_layers_region_key_regions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("region_key", "name", name=op.f("pk_region_layers")),
    )


def downgrade() -> None:
    op.drop_table("region_layers")
