"""Idempotency keys: an upload that is sent again with its key is stored once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from app.core.errors import Conflict, InvalidInput
from app.incidents import writes
from app.incidents.summary import IngestSummary
from app.incidents.uploads.erasure import is_erased_key
from app.regions.store import Region

_keys_in_use: set[tuple[str, int, str]] = set()
_keys_lock = threading.Lock()


def checked_key(key: str | None) -> str | None:
    """Return a key.

    Raises:
        InvalidInput: it is empty, too long or unprintable.
    """
    if key is not None and not (0 < len(key) <= 255 and key.isprintable()):
        raise InvalidInput("Idempotency-Key must be 1-255 printable characters", code="bad_key")
    return key


@contextmanager
def reserved(engine: Engine, region: Region, key: str | None) -> Iterator[None]:
    """Refuse a second upload with a key while this process reads the first.

    Between processes the lock of `stored_before` decides: the first complete upload is stored.

    Raises:
        Conflict: one is being read already.
    """
    if key is None:
        yield
        return
    place = (str(engine.url), region.key, key)
    with _keys_lock:
        if place in _keys_in_use:
            raise _under_way()
        _keys_in_use.add(place)
    try:
        yield
    finally:
        with _keys_lock:
            _keys_in_use.discard(place)


def _under_way() -> Conflict:
    return Conflict("an upload with this Idempotency-Key is in progress", code="key_in_use")


def stored_before(
    connection: Connection, region: Region, key: str, body_sha256: str
) -> IngestSummary | None:
    """Lock a key for this transaction; return the summary of the upload that was stored with it, or None.

    Raises:
        Conflict: another upload with the key is being stored, or the one with it is erased.
        InvalidInput: it had another body.
    """
    if not writes.lock_idempotency_key(connection, region.key, key):
        raise _under_way()
    stored = earlier(connection, region, key)
    return None if stored is None else _replayed(stored, body_sha256)


def earlier(connection: Connection, region: Region, key: str) -> writes.StoredUpload | None:
    """Return the upload that was made with this key, or None.

    Raises:
        Conflict: it is erased.
    """
    stored = writes.find_upload(connection, region.key, key)
    if stored is None and is_erased_key(connection, region.key, key):
        raise Conflict(
            "the data sent with this Idempotency-Key have been erased; to store them again, use another key",
            code="erased",
        )
    return stored


def _replayed(stored: writes.StoredUpload, body_sha256: str) -> IngestSummary:
    """Return the stored summary if it belongs to the same body."""
    if stored.body_sha256 != body_sha256:
        raise InvalidInput(
            "this Idempotency-Key was used with another body", code="idempotency_key_reused"
        )
    return IngestSummary.from_json(stored.summary)
