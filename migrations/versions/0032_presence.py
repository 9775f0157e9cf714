"""where somebody was, when and what was done: the presence log

Revision ID: 0032
Revises: 0031
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "presence",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("shape", sa.LargeBinary(), nullable=False),
        sa.Column("activity", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column(
            "inserted_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.CheckConstraint("ended_at > started_at", name=op.f("ck_presence_interval")),
        sa.CheckConstraint("octet_length(shape) <= 65536", name=op.f("ck_presence_shape_bound")),
        sa.CheckConstraint("char_length(activity) <= 200", name=op.f("ck_presence_activity_bound")),
        sa.CheckConstraint("char_length(unit) <= 100", name=op.f("ck_presence_unit_bound")),
        sa.CheckConstraint("octet_length(digest) = 32", name=op.f("ck_presence_digest_bound")),
        sa.ForeignKeyConstraint(
            ["region_key"],
            ["regions.key"],
            name=op.f("fk_presence_region_key_regions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_presence")),
        sa.UniqueConstraint("region_key", "digest", name=op.f("uq_presence_region_key_digest")),
    )
    op.create_index("ix_presence_region_started", "presence", ["region_key", "started_at", "id"])


def downgrade() -> None:
    op.drop_table("presence")
