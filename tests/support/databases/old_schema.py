"""Databases at an earlier revision of the schema."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from pydantic import SecretStr
from sqlalchemy import Engine, make_url, text

from app.core.db.engine import open_engine
from app.core.db.schema import MIGRATIONS
from app.core.settings import Settings


@dataclass(frozen=True)
class OldDatabase:
    """A database, and how to take it to another revision."""

    settings: Settings
    engine: Engine
    url: str

    def upgrade(self, revision: str = "head") -> None:
        self._go(command.upgrade, revision)

    def downgrade(self, revision: str) -> None:
        self._go(command.downgrade, revision)

    def _go(self, step: Callable[[Config, str], None], revision: str) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self.engine.begin() as connection:
            config.attributes["connection"] = connection
            step(config, revision)


@contextmanager
def database_at(
    revision: str | None, server_url: str, home: Path | None = None
) -> Iterator[OldDatabase]:
    """A database of its own at a revision, None: an empty one; it is gone afterwards."""
    name = f"old{uuid.uuid4().hex[:8]}"
    admin = open_engine(Settings(database_url=SecretStr(server_url)))
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
        chosen = {} if home is None else {"home": home}
        settings = Settings(database_url=SecretStr(url), allowed_hosts=["testserver"], **chosen)
        made = OldDatabase(settings, open_engine(settings), url)
        if revision is not None:
            made.upgrade(revision)
        yield made
        made.engine.dispose()
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()
