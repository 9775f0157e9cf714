"""hashes of incidents become keyed: an unkeyed one gives single incidents back

Revision ID: 0014
Revises: 0013
"""

import hashlib
import hmac
import secrets

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

NAME = "data_hash"


def upgrade() -> None:
    table = op.create_table(
        "secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )
    key = secrets.token_bytes(32)
    op.bulk_insert(table, [{"name": NAME, "value": key}])
    connection = op.get_bind()
    known = connection.scalars(
        sa.text(
            "SELECT data_hash FROM model_versions UNION"
            " SELECT result #>> '{provenance,data_hash}' FROM backtests"
        )
    )
    for old in [one for one in known if one]:
        values = {"old": old, "new": hmac.new(key, old.encode(), hashlib.sha256).hexdigest()}
        connection.execute(
            sa.text("UPDATE model_versions SET data_hash = :new WHERE data_hash = :old"), values
        )
        connection.execute(
            sa.text(
                "UPDATE backtests SET result = jsonb_set(result, '{provenance,data_hash}',"
                " to_jsonb(CAST(:new AS text)))"
                " WHERE result #>> '{provenance,data_hash}' = :old"
            ),
            values,
        )
