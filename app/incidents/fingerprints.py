"""Keyed digests of incidents: equal data give equal digests, and guesses need the key.

Incidents have little entropy: an unkeyed hash of one reveals its place within seconds. The
key is random, belongs to this database and is never served.
"""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
from sqlalchemy import Connection, select

from app.core.db.tables import secrets
from app.incidents.column_store import IncidentColumns

DATA_KEY = "data_hash"


def data_hash(connection: Connection, columns: IncidentColumns) -> str:
    """Digest what a fit sees: HMAC-SHA256 of the data's SHA-256, under this installation's key."""
    key = connection.execute(select(secrets.c.value).where(secrets.c.name == DATA_KEY)).scalar_one()
    return keyed(bytes(key), _plain_hash(columns))


def keyed(key: bytes, plain_hash: str) -> str:
    """Key a plain hash (hex); migration 0014 did the same with those of older versions."""
    return hmac.new(key, plain_hash.encode(), hashlib.sha256).hexdigest()


def _plain_hash(columns: IncidentColumns) -> str:
    """Hash the columns; the order of arrival does not matter."""
    digest = hashlib.sha256()
    # Two bytes where they suffice, as in the hashes of existing versions.
    narrow = len(columns.category_names) <= np.iinfo(np.int16).max
    category = columns.category.astype(np.int16) if narrow else columns.category
    for array in (columns.time_s, columns.window, columns.x_m, columns.y_m, category):
        digest.update(np.ascontiguousarray(array).tobytes())
    if (columns.end_s != columns.time_s).any():
        digest.update(np.ascontiguousarray(columns.end_s).tobytes())
    digest.update("\x00".join(columns.category_names).encode())
    return digest.hexdigest()
