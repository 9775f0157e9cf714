"""worker processes, audit entries of reads that may be pruned, and what runs say by code

Revision ID: 0036
Revises: 0034
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0036"
down_revision = "0034"
branch_labels = None
depends_on = None

RUNS = ("training_runs", "backtests", "sync_runs")
# Only chains of reads, and of these no entry of the last week: see app/audit/pruning.py.
GUARD = """
CREATE OR REPLACE FUNCTION hotslot_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF left(OLD.chain, 1) = '~' AND OLD.at < now() - interval '7 days' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log only grows: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$
"""
FORMER_GUARD = """
CREATE OR REPLACE FUNCTION hotslot_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log only grows: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "worker_processes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "heartbeat_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker_processes")),
    )
    op.execute(GUARD)
    for table in RUNS:
        op.add_column(table, sa.Column("said", postgresql.JSONB(none_as_null=True), nullable=True))
        op.create_check_constraint(
            op.f(f"ck_{table}_said_bound"), table, "pg_column_size(said) <= 16384"
        )


def downgrade() -> None:
    for table in RUNS:
        op.drop_column(table, "said")
    op.execute(FORMER_GUARD)
    op.drop_table("worker_processes")
