"""Schema migrations; a module of its own since alembic is slow to import."""

from __future__ import annotations

import logging
import time
from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import DeadlockDetected
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from app.core.db.engine import long_statements, translate_errors
from app.core.db.locks import MIGRATION_LOCK, transaction_lock
from app.core.db.partitions import copy_if_small
from app.core.errors import Conflict, Unavailable

MIGRATIONS = Path(__file__).resolve().parents[3] / "migrations"
MAX_TRIES = 10
PAUSE_S = 0.5
_log = logging.getLogger("hotslot.database")


@lru_cache(maxsize=1)
def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


@lru_cache(maxsize=1)
def head_revision() -> str | None:
    """Return the newest migration that this version of hotslot knows."""
    return ScriptDirectory.from_config(_alembic_config()).get_current_head()


def migrate(engine: Engine) -> None:
    """Upgrade the schema in one transaction under a lock; then copy few incidents into partitions.

    It needs exclusive locks on several tables, and requests read them in other orders: where both wait for
    each other, PostgreSQL ends one. If that is the upgrade, it begins anew. Many incidents are left to the
    maintenance and to `hotslot migrate --copy-incidents`.

    Raises:
        Conflict: a newer version of hotslot has migrated the schema.
        Unavailable: the database cannot be reached, or requests were in the way `MAX_TRIES` times.
    """
    for tries_left in reversed(range(MAX_TRIES)):
        try:
            _upgrade(engine)
            break
        except Unavailable as error:
            if not (tries_left and isinstance(error.__cause__, DeadlockDetected)):
                raise
            _log.warning("requests were in the way of the upgrade, which begins anew")
            time.sleep(PAUSE_S)
    copy_if_small(engine)


def _upgrade(engine: Engine) -> None:
    with engine.begin() as connection:
        if _is_newer(MigrationContext.configure(connection).get_current_revision()):
            raise Conflict("the schema belongs to a newer version of hotslot", code="newer_schema")
        long_statements(connection)
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        transaction_lock(connection, MIGRATION_LOCK)
        config = _alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def schema_is_current(connection: Connection) -> bool:
    """Return whether every migration that this version knows has been applied.

    A newer version's schema counts too: its migrations only add, so that processes of both versions
    can run side by side during an upgrade.
    """
    revision = MigrationContext.configure(connection).get_current_revision()
    return revision == head_revision() or _is_newer(revision)


def _is_newer(revision: str | None) -> bool:
    scripts = ScriptDirectory.from_config(_alembic_config()).walk_revisions()
    return revision is not None and revision not in {script.revision for script in scripts}


def check_ready(engine: Engine) -> None:
    """Raise unless requests can be served.

    Raises:
        Unavailable: the database is unavailable or its schema is not current.
    """
    try:
        with translate_errors(), engine.connect() as connection:
            current = schema_is_current(connection)
    except DBAPIError as error:
        raise Unavailable("the database cannot be reached") from error
    if not current:
        raise Unavailable("the database's schema is not current: run `hotslot migrate`")
