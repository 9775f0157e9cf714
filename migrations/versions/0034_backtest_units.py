"""the fits of a running backtest, which any worker takes

Revision ID: 0034
Revises: 0033
"""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def part_of_backtest(table: str) -> tuple[sa.schema.SchemaItem, ...]:
    """Return what both tables have in common."""
    return (
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.CheckConstraint("octet_length(plan) = 64", name=op.f(f"ck_{table}_plan_bound")),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["backtests.id"],
            name=op.f(f"fk_{table}_run_id_backtests"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "number", name=op.f(f"pk_{table}")),
    )


def upgrade() -> None:
    op.create_table(
        "backtest_data",
        *part_of_backtest("backtest_data"),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("number BETWEEN 0 AND 1023", name=op.f("ck_backtest_data_number_bound")),
        sa.CheckConstraint(
            "octet_length(content) <= 8388608", name=op.f("ck_backtest_data_content_bound")
        ),
    )
    op.create_table(
        "backtest_units",
        *part_of_backtest("backtest_units"),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("origin_s", sa.BigInteger(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'waiting'"), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("machine", sa.Text(), nullable=True),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "status IN ('waiting', 'working', 'done')", name=op.f("ck_backtest_units_status")
        ),
        sa.CheckConstraint(
            "(status = 'done') = (result IS NOT NULL)", name=op.f("ck_backtest_units_result")
        ),
        sa.CheckConstraint("char_length(model) <= 100", name=op.f("ck_backtest_units_model_bound")),
        sa.CheckConstraint(
            "char_length(worker) <= 100", name=op.f("ck_backtest_units_worker_bound")
        ),
        sa.CheckConstraint(
            "char_length(machine) <= 100", name=op.f("ck_backtest_units_machine_bound")
        ),
        sa.CheckConstraint(
            "octet_length(result) <= 268435456", name=op.f("ck_backtest_units_result_bound")
        ),
    )


def downgrade() -> None:
    op.drop_table("backtest_units")
    op.drop_table("backtest_data")
