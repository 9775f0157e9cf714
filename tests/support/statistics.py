"""Cumulative statistics of PostgreSQL, which sessions pass on when it suits them."""

from __future__ import annotations

import time
from typing import Any

import psycopg

WAIT_S = 0.6
"""Before PostgreSQL 15, sessions pass them on with a statement half a second after the last time."""


def flush_statistics(connection: psycopg.Connection[Any]) -> None:
    """Make what a session has done known to all."""
    if connection.info.server_version >= 150_000:
        connection.execute("SELECT pg_stat_force_next_flush()")
        return
    time.sleep(WAIT_S)
    connection.execute("SELECT 1")
    time.sleep(WAIT_S)
