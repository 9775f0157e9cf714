"""incidents refer to a category of their own region, so that removing one finds them by their index

Revision ID: 0015
Revises: 0014
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_unique_constraint("uq_categories_region_key_key", "categories", ["region_key", "key"])
    op.drop_constraint("fk_incidents_category_key_categories", "incidents", type_="foreignkey")
    # Holds for what is there already, by the constraint before: ten million rows are not read again.
    op.create_foreign_key(
        "fk_incidents_region_key_categories",
        "incidents",
        "categories",
        ["region_key", "category_key"],
        ["region_key", "key"],
        postgresql_not_valid=True,
    )
