"""erasures and the versions they mark; what a deletion kept of an incident is dropped

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("n_incidents", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("what IN ('incident', 'upload')", name=op.f("ck_erasures_what")),
        sa.ForeignKeyConstraint(
            ["region_key"],
            ["regions.key"],
            name=op.f("fk_erasures_region_key_regions"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["training_runs.id"],
            name=op.f("fk_erasures_run_id_training_runs"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
    )
    op.create_index("ix_erasures_region_created", "erasures", ["region_key", "created_at"])
    op.create_table(
        "erased_versions",
        sa.Column("erasure_id", sa.BigInteger(), nullable=False),
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["erasure_id"],
            ["erasures.id"],
            name=op.f("fk_erased_versions_erasure_id_erasures"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["region_key", "version"],
            ["model_versions.region_key", "model_versions.version"],
            name=op.f("fk_erased_versions_region_key_model_versions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "erasure_id", "region_key", "version", name=op.f("pk_erased_versions")
        ),
    )
    op.create_index("ix_erased_versions_version", "erased_versions", ["region_key", "version"])
    op.execute("DELETE FROM incident_history WHERE action = 'deleted'")


def downgrade() -> None:
    op.drop_table("erased_versions")
    op.drop_table("erasures")
