"""what recognises the keys of erased uploads, and how many versions an erasure took with it

Revision ID: 0020
Revises: 0019
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erased_keys",
        sa.Column("region_key", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["region_key"],
            ["regions.key"],
            name=op.f("fk_erased_keys_region_key_regions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("region_key", "digest", name=op.f("pk_erased_keys")),
    )
    op.add_column(
        "erasures",
        sa.Column("versions_dropped", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.execute("UPDATE promotions SET data_until = date_trunc('day', data_until, 'UTC')")
    table = sa.table("secrets", sa.column("name"), sa.column("value", sa.LargeBinary()))
    op.bulk_insert(table, [{"name": "erased_keys", "value": secrets.token_bytes(32)}])


def downgrade() -> None:
    op.execute("DELETE FROM secrets WHERE name = 'erased_keys'")
    op.drop_column("erasures", "versions_dropped")
    op.drop_table("erased_keys")
