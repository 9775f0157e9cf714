"""states of versions: what has arrived since their training

Revision ID: 0027
Revises: 0026
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "forecast_states",
        sa.Column("region_key", sa.Integer, primary_key=True),
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("release", sa.Integer, nullable=False),
        sa.Column("data_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("n_incidents", sa.Integer, nullable=False),
        sa.Column("counts", postgresql.JSONB, nullable=False),
        sa.Column("fields", sa.LargeBinary, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        sa.ForeignKeyConstraint(
            ["region_key", "version"],
            ["model_versions.region_key", "model_versions.version"],
            ondelete="CASCADE",
            name="fk_forecast_states_region_key_model_versions",
        ),
        sa.PrimaryKeyConstraint("region_key", "version", "number", name="pk_forecast_states"),
        sa.CheckConstraint(
            "char_length(version) <= 200", name=op.f("ck_forecast_states_version_bound")
        ),
        sa.CheckConstraint(
            "pg_column_size(counts) <= 16777216", name=op.f("ck_forecast_states_counts_bound")
        ),
    )
    _alarm_kinds("'volume', 'place', 'calibration', 'rollback', 'swing'")
    op.create_index("ix_uploads_region", "uploads", ["region_key", "id"])


def downgrade() -> None:
    op.execute("DELETE FROM alarms WHERE kind = 'swing'")
    _alarm_kinds("'volume', 'place', 'calibration', 'rollback'")
    op.drop_table("forecast_states")
    op.drop_index("ix_uploads_region", "uploads")


def _alarm_kinds(kinds: str) -> None:
    op.drop_constraint(op.f("ck_alarms_kind"), "alarms", type_="check")
    op.create_check_constraint(op.f("ck_alarms_kind"), "alarms", f"kind IN ({kinds})")
