"""schedules, live scores, drift checks, alarms

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alarms",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "raised_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('volume', 'place', 'calibration', 'rollback')", name=op.f("ck_alarms_kind")
        ),
        sa.ForeignKeyConstraint(
            ["region_key"],
            ["regions.key"],
            name=op.f("fk_alarms_region_key_regions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
    )
    op.create_index(
        "uq_alarms_open",
        "alarms",
        ["region_key", "version", "kind"],
        unique=True,
        postgresql_where=sa.text("cleared_at IS NULL"),
    )
    op.create_table(
        "schedules",
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=True),
        sa.Column("new_incidents", sa.Integer(), nullable=True),
        sa.Column("new_share", sa.Double(), nullable=True),
        sa.Column("on_drift", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("counted_from", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("new_incidents > 0", name=op.f("ck_schedules_new_incidents")),
        sa.CheckConstraint("new_share > 0", name=op.f("ck_schedules_new_share")),
        sa.ForeignKeyConstraint(
            ["region_key"],
            ["regions.key"],
            name=op.f("fk_schedules_region_key_regions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("region_key", name=op.f("pk_schedules")),
    )
    op.create_table(
        "schedule_ticks",
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("tick_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "cause IN ('cron', 'new_incidents', 'new_share', 'drift')",
            name=op.f("ck_schedule_ticks_cause"),
        ),
        sa.ForeignKeyConstraint(
            ["region_key"],
            ["regions.key"],
            name=op.f("fk_schedule_ticks_region_key_regions"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["training_runs.id"],
            name=op.f("fk_schedule_ticks_run_id_training_runs"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("region_key", "tick_at", name=op.f("pk_schedule_ticks")),
    )
    op.create_table(
        "drift_checks",
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("p_value", sa.Double(), nullable=False),
        sa.Column("alarming", sa.Boolean(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["region_key", "version"],
            ["model_versions.region_key", "model_versions.version"],
            name=op.f("fk_drift_checks_region_key_model_versions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "region_key", "version", "kind", "days", name=op.f("pk_drift_checks")
        ),
    )
    op.create_table(
        "live_scores",
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("n_seen", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("log_density_sum", sa.Double(), nullable=False),
        sa.Column("expected_sum", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["region_key", "version"],
            ["model_versions.region_key", "model_versions.version"],
            name=op.f("fk_live_scores_region_key_model_versions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("region_key", "version", "day", name=op.f("pk_live_scores")),
    )
    op.add_column(
        "promotions",
        sa.Column("action", sa.Text(), server_default=sa.text("'promoted'"), nullable=False),
    )
    op.add_column("promotions", sa.Column("data_until", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("ck_promotions_action"), "promotions", "action IN ('promoted', 'rolled_back')"
    )


def downgrade() -> None:
    op.drop_column("promotions", "data_until")
    op.drop_column("promotions", "action")
    op.drop_table("live_scores")
    op.drop_table("drift_checks")
    op.drop_table("schedule_ticks")
    op.drop_table("schedules")
    op.drop_index(
        "uq_alarms_open", table_name="alarms", postgresql_where=sa.text("cleared_at IS NULL")
    )
    op.drop_table("alarms")
