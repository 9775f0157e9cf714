"""API keys: only hashes of their secrets are ever stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, exists, insert, select, update

from app.domain.access import Key, Role
from app.domain.errors import NotFound
from app.domain.texts import shortened
from app.storage.access_tables import api_keys


def _as_key(row: Row[Any]) -> Key:
    values = dict(row._mapping)
    values["roles"] = tuple(Role(role) for role in values["roles"])
    values["regions"] = None if values["regions"] is None else tuple(values["regions"])
    return Key(**values)


def insert_key(connection: Connection, values: Mapping[str, Any]) -> Key:
    """Keep a new key."""
    return _as_key(
        connection.execute(insert(api_keys).values(**values).returning(*api_keys.c)).one()
    )


def all_keys(connection: Connection) -> list[Key]:
    """Every key there ever was, the oldest first."""
    rows = connection.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))
    return [_as_key(row) for row in rows]


def any_key(connection: Connection) -> bool:
    """Whether a key was ever made."""
    return bool(connection.scalar(select(exists(select(api_keys.c.id)))))


def locked_key(connection: Connection, key_id: str) -> Key:
    """One key, its row locked for this transaction.

    Raises:
        NotFound: no such key.
    """
    row = connection.execute(
        select(api_keys).where(api_keys.c.id == key_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound(f"no such key: {shortened(key_id)}", field="id")
    return _as_key(row)


def change_key(connection: Connection, key_id: str, **values: Any) -> Key:
    """Write some of a key's columns."""
    statement = update(api_keys).where(api_keys.c.id == key_id).values(**values)
    return _as_key(connection.execute(statement.returning(*api_keys.c)).one())
