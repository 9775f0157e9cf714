"""A migrated database of its own for drills that need no running service."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from app.core.db.engine import open_engine
from app.core.db.schema import migrate
from app.core.settings import Settings
from tests.support.services.service import remove_home


@contextmanager
def database() -> Iterator[tuple[Engine, Settings]]:
    """An engine on an embedded server in a home that is removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="hotslot-drill-"))
    settings = Settings(home=home, training_threads=1)
    engine = open_engine(settings)
    try:
        migrate(engine)
        yield engine, settings
    finally:
        engine.dispose()
        remove_home(home)
