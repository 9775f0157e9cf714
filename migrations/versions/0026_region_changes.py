"""regions can be changed: a revision, a CRS that was given, versions made for what they were before

Revision ID: 0026
Revises: 0025
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "regions", sa.Column("revision", sa.Integer, nullable=False, server_default=sa.text("0"))
    )
    op.add_column(
        "regions",
        sa.Column("crs_given", sa.Boolean, nullable=False, server_default=sa.text("false")),
    )
    op.create_table(
        "outdated_versions",
        sa.Column("region_key", sa.Integer, primary_key=True),
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("changed", sa.Text, nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        sa.ForeignKeyConstraint(
            ["region_key", "version"],
            ["model_versions.region_key", "model_versions.version"],
            ondelete="CASCADE",
            name="fk_outdated_versions_region_key_model_versions",
        ),
        sa.PrimaryKeyConstraint("region_key", "version", name="pk_outdated_versions"),
        sa.CheckConstraint(
            "char_length(version) <= 200", name=op.f("ck_outdated_versions_version_bound")
        ),
        sa.CheckConstraint(
            "char_length(changed) <= 200", name=op.f("ck_outdated_versions_changed_bound")
        ),
    )


def downgrade() -> None:
    op.drop_table("outdated_versions")
    op.drop_column("regions", "crs_given")
    op.drop_column("regions", "revision")
