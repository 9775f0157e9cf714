"""the ledger of releases: readers see a region's incidents in steps of many at once

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("uploads", sa.Column("release", sa.Integer()))
    op.create_table(
        "releases",
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("n_incidents", sa.Integer()),
        sa.Column("categories", postgresql.JSONB(none_as_null=True)),
        sa.Column("first_day", sa.Date()),
        sa.Column("used", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("now()"),
        ),
        sa.ForeignKeyConstraint(
            ["region_key"],
            ["regions.key"],
            name=op.f("fk_releases_region_key_regions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("region_key", "seq", name=op.f("pk_releases")),
    )
    op.create_table(
        "released_scores",
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("from_day", sa.Date(), nullable=False),
        sa.Column("to_day", sa.Date(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("log_density_sum", sa.Double(), nullable=False),
        sa.Column("expected_sum", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["region_key", "version"],
            ["model_versions.region_key", "model_versions.version"],
            name=op.f("fk_released_scores_region_key_model_versions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "region_key", "version", "from_day", name=op.f("pk_released_scores")
        ),
    )
    op.create_table(
        "withheld_versions",
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["region_key", "version"],
            ["model_versions.region_key", "model_versions.version"],
            name=op.f("fk_withheld_versions_region_key_model_versions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("region_key", "version", name=op.f("pk_withheld_versions")),
    )


def downgrade() -> None:
    for table in ("withheld_versions", "released_scores", "releases"):
        op.drop_table(table)
    op.drop_column("uploads", "release")
