"""street layers of regions

Revision ID: 0031
Revises: 0030
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "street_layers",
        sa.Column("region_key", sa.Integer),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("area_digest", sa.Text, nullable=False),
        sa.Column("facts", JSONB, nullable=False),
        _created_at(),
        sa.ForeignKeyConstraint(
            ["region_key"],
            ["regions.key"],
            name=op.f("fk_street_layers_region_key_regions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("region_key", name=op.f("pk_street_layers")),
        sa.CheckConstraint("char_length(digest) <= 64", name=op.f("ck_street_layers_digest_bound")),
        sa.CheckConstraint(
            "char_length(area_digest) <= 64", name=op.f("ck_street_layers_area_digest_bound")
        ),
        sa.CheckConstraint(
            "pg_column_size(facts) <= 65536", name=op.f("ck_street_layers_facts_bound")
        ),
    )
    op.create_table(
        "street_shares",
        sa.Column("region_key", sa.Integer),
        sa.Column("version", sa.Text),
        sa.Column("layer_digest", sa.Text),
        sa.Column("n_incidents", sa.Integer, nullable=False),
        sa.Column("bandwidth_m", sa.Double),
        sa.Column("content", sa.LargeBinary, nullable=False),
        _created_at(),
        sa.ForeignKeyConstraint(
            ["region_key", "version"],
            ["model_versions.region_key", "model_versions.version"],
            name=op.f("fk_street_shares_region_key_model_versions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "region_key", "version", "layer_digest", name=op.f("pk_street_shares")
        ),
        sa.CheckConstraint(
            "char_length(version) <= 200", name=op.f("ck_street_shares_version_bound")
        ),
        sa.CheckConstraint(
            "char_length(layer_digest) <= 64", name=op.f("ck_street_shares_layer_digest_bound")
        ),
    )


def _created_at() -> sa.Column:
    return sa.Column(
        "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
    )


def downgrade() -> None:
    op.drop_table("street_shares")
    op.drop_table("street_layers")
