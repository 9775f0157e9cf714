"""The database of the release of 2026-11-29 (tests/migrations/previous_release), loaded anew each time."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url

FOLDER = Path(__file__).parents[2] / "migrations" / "previous_release"
KEY = "hsk_4303a1397422_Cb90FxrwRdxtCrrHSShtTX04OI9m5Srg_gi3eoFDYZY"
"""The dump's only key: a reader's."""


@contextmanager
def previous_release(server_url: str) -> Iterator[str]:
    """Load the dump into a database of its own, and drop that afterwards; yields its address."""
    name = f"old{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
        try:
            lines = (
                gzip.decompress(next(FOLDER.glob("*.sql.gz")).read_bytes()).decode().splitlines()
            )
            # What psql alone knows, and a setting that servers before 17 do not have.
            left_out = ("\\", "SET transaction_timeout")
            dump = "\n".join(line for line in lines if not line.startswith(left_out))
            with psycopg.connect(url) as connection:
                connection.execute(dump.encode())
            yield url
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
