"""Subscriptions of regions, without their deliveries (see `delivery_store`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from app.core.db.tables import subscriptions
from app.core.errors import Conflict, NotFound
from app.core.texts import shortened
from app.subscriptions.spec import SubscriptionSpec

_s = subscriptions.c


@dataclass(frozen=True)
class Subscription:
    """A subscription of a region."""

    key: int
    region_key: int
    name: str
    spec: SubscriptionSpec
    owner: str
    salt: bytes | None
    secret_sha256: bytes | None
    previous_salt: bytes | None
    previous_until: datetime | None
    created_at: datetime
    baseline: str | None = None
    """Occasion of the state that served when it was added, which is not sent."""


def _as_subscription(row: Row[Any]) -> Subscription:
    values = dict(row._mapping)
    return Subscription(**{**values, "spec": SubscriptionSpec.from_json(values["spec"])})


def insert_subscription(
    connection: Connection,
    region_key: int,
    name: str,
    spec: SubscriptionSpec,
    owner: str,
    baseline: str | None = None,
    **secret: bytes,
) -> Subscription:
    """Store a new subscription.

    Raises:
        Conflict: the region has one of that name.
    """
    values = {
        "region_key": region_key,
        "name": name,
        "spec": spec.to_json(),
        "owner": owner,
        "baseline": baseline,
    }
    statement = insert(subscriptions).values(**values, **secret).on_conflict_do_nothing()
    row = connection.execute(statement.returning(*_s)).one_or_none()
    if row is None:
        raise Conflict(
            f"a subscription {shortened(name)} exists; remove it first", code="subscription_exists"
        )
    return _as_subscription(row)


def list_subscriptions(connection: Connection, region_key: int | None = None) -> list[Subscription]:
    """List a region's subscriptions, or all, by name."""
    query = select(subscriptions).order_by(_s.region_key, _s.name)
    if region_key is not None:
        query = query.where(_s.region_key == region_key)
    return [_as_subscription(row) for row in connection.execute(query)]


def get_subscription(connection: Connection, region_key: int, name: str) -> Subscription:
    """Return a subscription by name.

    Raises:
        NotFound: there is none of that name.
    """
    query = select(subscriptions).where(_s.region_key == region_key, _s.name == name)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"no subscription {shortened(name)}", field="name")
    return _as_subscription(row)


def find_subscription(connection: Connection, key: int) -> Subscription | None:
    """Return a subscription by key; None: it was removed."""
    row = connection.execute(select(subscriptions).where(_s.key == key)).one_or_none()
    return None if row is None else _as_subscription(row)


def change_subscription(connection: Connection, key: int, **values: Any) -> Subscription:
    """Write some of a subscription's columns."""
    statement = update(subscriptions).where(_s.key == key).values(**values)
    return _as_subscription(connection.execute(statement.returning(*_s)).one())


def delete_subscription(connection: Connection, key: int) -> None:
    """Delete a subscription with its deliveries."""
    connection.execute(delete(subscriptions).where(_s.key == key))
