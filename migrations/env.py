"""Alembic's environment: hotslot hands its own connection over, inside its own transaction."""

from alembic import context

from app.core.db.engine import open_engine
from app.core.db.tables import metadata
from app.core.settings import Settings


def include_name(name, type_, parent_names):
    """Leave the queue's own tables (procrastinate's) and partitions out of comparisons."""
    return not (type_ == "table" and str(name).startswith(("procrastinate_", "incidents_p")))


def run(connection):
    """Run migrations on one connection."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=include_name,
        compare_type=True,
        compare_server_default=True,
    )
    context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with open_engine(Settings()).begin() as connection:
        run(connection)
