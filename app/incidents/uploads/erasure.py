"""Clear the records of erased uploads, and reject the idempotency keys that would restore them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from app.core.db.tables import erased_keys, secrets

KEY_SECRET = "erased_keys"  # noqa: S105 - its name


def forget_uploads(connection: Connection, region_key: int, upload_ids: Sequence[int]) -> None:
    """Clear the records of uploads that are completely erased, and of others with the same body.

    Their counts stay. Their idempotency keys are rejected from now on: see `is_erased_key`.
    """
    emptied = connection.execute(_EMPTIED, {"region": region_key, "uploads": list(upload_ids)})
    rows = emptied.all()
    keys = [row.idempotency_key for row in rows if row.idempotency_key is not None]
    refuse_keys(connection, region_key, keys)
    if rows:
        connection.execute(_EMPTY, {"region": region_key, "uploads": [row.id for row in rows]})


_EMPTIED = text(
    """
    WITH emptied AS (
        SELECT u.id, u.body_sha256 FROM uploads AS u
        WHERE u.region_key = :region AND u.id = ANY(:uploads)
          AND NOT EXISTS (
              SELECT FROM incidents AS i WHERE i.region_key = :region AND i.upload_id = u.id)
          AND NOT EXISTS (SELECT FROM incident_history AS h
                          WHERE h.region_key = :region AND h.before ->> 'upload_id' = u.id::text)
    )
    SELECT u.id, u.idempotency_key FROM uploads AS u
    WHERE u.region_key = :region AND (u.id IN (SELECT id FROM emptied)
          OR u.body_sha256 IN (SELECT body_sha256 FROM emptied))
    """
)
_EMPTY = text(
    """
    UPDATE uploads SET idempotency_key = NULL, body_sha256 = NULL, source = NULL, report = '{}',
        summary = summary || '{"errors": [], "warnings": []}'
    WHERE region_key = :region AND id = ANY(:uploads)
    """
)


def same_body(connection: Connection, region_key: int, upload_id: int) -> list[str]:
    """Clear other uploads with an upload's body; return the idempotency keys of all of them."""
    found = connection.execute(_SAME_BODY, {"region": region_key, "upload": upload_id}).all()
    others = [row.id for row in found if row.id != upload_id]
    if others:
        connection.execute(_EMPTY, {"region": region_key, "uploads": others})
    return [row.idempotency_key for row in found if row.idempotency_key is not None]


_SAME_BODY = text(
    """
    SELECT u.id, u.idempotency_key FROM uploads AS u JOIN uploads AS mine ON mine.id = :upload
    WHERE u.region_key = :region AND (u.id = :upload OR u.body_sha256 = mine.body_sha256)
      AND (u.id = :upload OR NOT EXISTS (
          SELECT FROM incidents AS i WHERE i.region_key = :region AND i.upload_id = u.id))
    """
)


def refuse_keys(connection: Connection, region_key: int, keys: Sequence[str]) -> None:
    """Store digests of idempotency keys, so that no retry restores erased data."""
    rows = [
        {"region_key": region_key, "digest": _digest(connection, region_key, key)} for key in keys
    ]
    if rows:
        connection.execute(upsert(erased_keys).on_conflict_do_nothing(), rows)


def is_erased_key(connection: Connection, region_key: int, key: str) -> bool:
    """Return whether the data sent with this key has been erased."""
    some = select(erased_keys.c.digest).where(erased_keys.c.region_key == region_key)
    if connection.execute(some.limit(1)).first() is None:
        return False
    digest = _digest(connection, region_key, key)
    return connection.execute(some.where(erased_keys.c.digest == digest)).first() is not None


def _digest(connection: Connection, region_key: int, key: str) -> bytes:
    """Key the digest with this installation's secret: keys may hold incident ids that can be guessed."""
    secret = connection.scalar(select(secrets.c.value).where(secrets.c.name == KEY_SECRET))
    content = f"{region_key}:{key}".encode()
    return hmac.new(bytes(secret or b""), content, hashlib.sha256).digest()
