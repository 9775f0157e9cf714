"""feeds that number incidents, references, revisions, and the history of incidents without ids

Revision ID: 0025
Revises: 0024
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "feeds",
        sa.Column("key", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("has_references", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("char_length(name) <= 100", name=op.f("ck_feeds_name_bound")),
        sa.ForeignKeyConstraint(
            ["region_key"],
            ["regions.key"],
            name=op.f("fk_feeds_region_key_regions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_feeds")),
        sa.UniqueConstraint("region_key", "name", name=op.f("uq_feeds_region_key_name")),
    )
    op.add_column("incidents", sa.Column("reference", sa.Text(), nullable=True))
    op.add_column("incidents", sa.Column("feed_key", sa.Integer(), nullable=True))
    op.add_column("incidents", sa.Column("revised_at", sa.DateTime(timezone=True), nullable=True))
    # Not checked against what is stored, which has none: a scan would lock a large table.
    op.execute(
        "ALTER TABLE incidents ADD CONSTRAINT ck_incidents_reference_bound"
        " CHECK (char_length(reference) <= 200) NOT VALID"
    )
    op.add_column("incident_history", sa.Column("incident_id", sa.BigInteger(), nullable=True))
    op.execute("UPDATE incident_history SET incident_id = (before ->> 'id')::bigint")
    op.alter_column("incident_history", "external_id", nullable=True)
    op.create_index(
        "ix_incident_history_incident", "incident_history", ["region_key", "incident_id"]
    )


def downgrade() -> None:
    op.drop_index("ix_incident_history_incident", "incident_history")
    op.execute("DELETE FROM incident_history WHERE external_id IS NULL")
    op.alter_column("incident_history", "external_id", nullable=False)
    op.drop_column("incident_history", "incident_id")
    op.drop_constraint(op.f("ck_incidents_reference_bound"), "incidents", type_="check")
    for name in ("revised_at", "feed_key", "reference"):
        op.drop_column("incidents", name)
    op.drop_table("feeds")
