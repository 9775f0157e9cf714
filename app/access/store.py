"""API keys, stored with hashes of their secrets only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from app.core.db.locks import count_lock
from app.core.db.tables import api_keys
from app.core.errors import LimitExceeded, NotFound
from app.core.roles import Key, Role
from app.core.texts import shortened


def _as_key(row: Row[Any]) -> Key:
    values = dict(row._mapping)
    values["roles"] = tuple(Role(role) for role in values["roles"])
    values["regions"] = None if values["regions"] is None else tuple(values["regions"])
    return Key(**values)


def make_room(connection: Connection, limit: int) -> list[str]:
    """Remove the keys that ended longest ago until another one fits the limit.

    Returns:
        Ids of the keys that were removed.

    Raises:
        LimitExceeded: there are `limit` valid keys.
    """
    count_lock(connection)
    n = int(connection.scalar(select(func.count()).select_from(api_keys)) or 0)
    if n < limit:
        return []
    c = api_keys.c
    ended_at = func.least(c.revoked_at, c.expires_at)
    oldest = select(c.id).where(ended_at <= func.now()).order_by(ended_at, c.id)
    gone = list(connection.scalars(oldest.limit(n - limit + 1)))
    if len(gone) <= n - limit:
        raise LimitExceeded(
            f"there are {n} keys, the limit is {limit}; revoke unused keys first",
            limit=limit,
            asked=n + 1,
        )
    connection.execute(delete(api_keys).where(c.id.in_(gone)))
    return gone


def insert_key(connection: Connection, values: Mapping[str, Any]) -> Key:
    """Store a new key."""
    return _as_key(
        connection.execute(insert(api_keys).values(**values).returning(*api_keys.c)).one()
    )


def all_keys(connection: Connection) -> list[Key]:
    """List all keys, including revoked and expired ones, oldest first."""
    rows = connection.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))
    return [_as_key(row) for row in rows]


def find_key(connection: Connection, key_id: str) -> Key | None:
    """Return one key; None: there is none of that id."""
    row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).one_or_none()
    return None if row is None else _as_key(row)


def locked_key(connection: Connection, key_id: str) -> Key:
    """Return one key and lock its row for this transaction.

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
