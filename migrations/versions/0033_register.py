"""forecasts filed before their day, and their scores: the register

Revision ID: 0033
Revises: 0032
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def moment(name: str) -> sa.Column[object]:
    """Return a column of instants."""
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def upgrade() -> None:
    op.create_table(
        "register_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        moment("starts_at"),
        moment("ends_at"),
        moment("filed_at"),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        moment("data_until"),
        sa.Column("n_cells", sa.Integer(), nullable=False),
        sa.Column("expected", sa.Double(), nullable=False),
        sa.Column("expected_lo", sa.Double(), nullable=False),
        sa.Column("expected_hi", sa.Double(), nullable=False),
        sa.Column("forecast", sa.LargeBinary(), nullable=True),
        sa.Column("rival", sa.LargeBinary(), nullable=True),
        sa.Column("forecast_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("rival_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "filed_at < starts_at AND starts_at < ends_at",
            name=op.f("ck_register_entries_before_its_day"),
        ),
        sa.ForeignKeyConstraint(
            ["region_key"],
            ["regions.key"],
            name=op.f("fk_register_entries_region_key_regions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_register_entries")),
        sa.UniqueConstraint("region_key", "day", name=op.f("uq_register_entries_region_key_day")),
    )
    op.create_table(
        "register_scores",
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("look_days", sa.Integer(), nullable=False),
        moment("scored_at"),
        sa.Column("score", sa.Text(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["register_entries.id"],
            name=op.f("fk_register_scores_entry_id_register_entries"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("entry_id", "look_days", name=op.f("pk_register_scores")),
    )
    op.create_table(
        "register_periods",
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("from_day", sa.Date(), nullable=False),
        sa.Column("to_day", sa.Date(), nullable=False),
        sa.Column("figures", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["region_key"],
            ["regions.key"],
            name=op.f("fk_register_periods_region_key_regions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("region_key", "from_day", name=op.f("pk_register_periods")),
    )


def downgrade() -> None:
    op.drop_table("register_periods")
    op.drop_table("register_scores")
    op.drop_table("register_entries")
