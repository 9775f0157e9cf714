"""who is sent which forecasts, and each delivery

Revision ID: 0037
Revises: 0036
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None
JSONB = postgresql.JSONB(astext_type=sa.Text())


def instant(name: str, *, now: bool = False) -> sa.Column:
    """Return a time, by default that of the insertion, or one that may be absent."""
    default = sa.func.now() if now else None
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=not now)


def of_region(table: str) -> sa.ForeignKeyConstraint:
    """Return the constraint by which rows are deleted with their region."""
    return sa.ForeignKeyConstraint(
        ["region_key"],
        ["regions.key"],
        name=op.f(f"fk_{table}_region_key_regions"),
        ondelete="CASCADE",
    )


def bound(table: str, column: str, limit: str) -> sa.CheckConstraint:
    """Return the limit of what a column may hold."""
    return sa.CheckConstraint(limit, name=op.f(f"ck_{table}_{column}_bound"))


def upgrade() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("key", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("spec", JSONB, nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("baseline", sa.Text(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("secret_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("previous_salt", sa.LargeBinary(), nullable=True),
        instant("previous_until"),
        instant("created_at", now=True),
        bound("subscriptions", "name", "char_length(name) <= 63"),
        bound("subscriptions", "spec", "pg_column_size(spec) <= 8192"),
        bound("subscriptions", "owner", "char_length(owner) <= 300"),
        bound("subscriptions", "baseline", "char_length(baseline) <= 300"),
        bound("subscriptions", "salt", "octet_length(salt) = 16"),
        bound("subscriptions", "secret_sha256", "octet_length(secret_sha256) = 32"),
        bound("subscriptions", "previous_salt", "octet_length(previous_salt) = 16"),
        of_region("subscriptions"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_subscriptions")),
        sa.UniqueConstraint("region_key", "name", name=op.f("uq_subscriptions_region_key_name")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("subscription_key", sa.Integer(), nullable=False),
        sa.Column("occasion", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'waiting'"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        instant("next_at", now=True),
        sa.Column("forecast", JSONB, nullable=True),
        sa.Column("failure", JSONB, nullable=True),
        instant("created_at", now=True),
        instant("ended_at"),
        sa.CheckConstraint(
            "status IN ('waiting', 'delivered', 'dead')", name=op.f("ck_deliveries_status")
        ),
        bound("deliveries", "occasion", "char_length(occasion) <= 300"),
        bound("deliveries", "status", "char_length(status) <= 20"),
        bound("deliveries", "forecast", "pg_column_size(forecast) <= 2048"),
        bound("deliveries", "failure", "pg_column_size(failure) <= 4096"),
        of_region("deliveries"),
        sa.ForeignKeyConstraint(
            ["subscription_key"],
            ["subscriptions.key"],
            name=op.f("fk_deliveries_subscription_key_subscriptions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint(
            "subscription_key", "occasion", name=op.f("uq_deliveries_subscription_key_occasion")
        ),
    )
    op.create_index(
        "ix_deliveries_subscription_created", "deliveries", ["subscription_key", "created_at"]
    )
    op.create_index(
        "ix_deliveries_waiting",
        "deliveries",
        ["next_at"],
        postgresql_where=sa.text("status = 'waiting'"),
    )


def downgrade() -> None:
    op.drop_table("deliveries")
    op.drop_table("subscriptions")
