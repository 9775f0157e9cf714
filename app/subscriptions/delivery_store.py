"""Deliveries: one for each occasion of a subscription, claimed for a while by one process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from app.core.db.tables import deliveries
from app.core.errors import NotFound
from app.core.messages import Message
from app.subscriptions.failures import FAILURES
from app.subscriptions.store import Subscription

Status = Literal["waiting", "delivered", "dead"]
LEASE = timedelta(seconds=180)
"""After it, a delivery of whose attempt no outcome is known is made again."""
MAX_WAITING = 100
"""Deliveries of one subscription that wait; older ones end as dead."""
_d = deliveries.c
_WAITING = _d.status == "waiting"


@dataclass(frozen=True)
class Delivery:
    """What is, or was, to be sent on one occasion.

    Args:
        next_at: of the next attempt, while it waits.
        forecast: version, state and hours, once they are known.
        failure: of the last attempt.
    """

    id: UUID
    region_key: int
    subscription_key: int
    occasion: str
    status: Status
    attempts: int
    next_at: datetime
    forecast: dict[str, Any] | None
    failure: Message | None
    created_at: datetime
    ended_at: datetime | None


def _as_delivery(row: Row[Any]) -> Delivery:
    values = dict(row._mapping)
    failure = values["failure"]
    return Delivery(
        **{**values, "failure": None if failure is None else Message.from_json(failure)}
    )


def add_delivery(
    connection: Connection, subscription: Subscription, occasion: str
) -> Delivery | None:
    """Store a delivery; None: this occasion has one."""
    statement = (
        insert(deliveries)
        .values(
            id=uuid4(),
            region_key=subscription.region_key,
            subscription_key=subscription.key,
            occasion=occasion,
        )
        .on_conflict_do_nothing(index_elements=["subscription_key", "occasion"])
    )
    row = connection.execute(statement.returning(*_d)).one_or_none()
    return None if row is None else _as_delivery(row)


def known_occasions(connection: Connection, key: int, occasions: list[str]) -> set[str]:
    """Return those of the occasions that have a delivery."""
    query = select(_d.occasion).where(_d.subscription_key == key, _d.occasion.in_(occasions))
    return set(connection.scalars(query))


def list_deliveries(
    connection: Connection, key: int, status: Status | None, limit: int
) -> list[Delivery]:
    """Return a subscription's newest deliveries, newest first."""
    query = select(deliveries).where(_d.subscription_key == key)
    if status is not None:
        query = query.where(_d.status == status)
    query = query.order_by(_d.created_at.desc(), _d.id).limit(limit)
    return [_as_delivery(row) for row in connection.execute(query)]


def counts_by_status(connection: Connection, key: int) -> dict[str, int]:
    """Return {status: deliveries} of a subscription."""
    query = select(_d.status, func.count()).where(_d.subscription_key == key).group_by(_d.status)
    return {str(status): int(count) for status, count in connection.execute(query)}


def find_delivery(connection: Connection, key: int, delivery_id: UUID) -> Delivery:
    """Return a delivery of a subscription.

    Raises:
        NotFound: it has none of that id.
    """
    query = select(deliveries).where(_d.subscription_key == key, _d.id == delivery_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"no delivery {delivery_id}", field="delivery_id")
    return _as_delivery(row)


def claim(
    connection: Connection, limit: int, most_attempts: int, delivery_id: UUID | None = None
) -> list[Delivery]:
    """Claim deliveries that are due, the longest due first, until `LEASE` has passed.

    Those whose process died at the last attempt are dead.

    Args:
        delivery_id: this one only, if it is due.
    """
    due = [_WAITING, _d.next_at <= func.now()]
    if delivery_id is not None:
        due.append(_d.id == delivery_id)
    lost = FAILURES.make("push_process_died", attempts=most_attempts)
    connection.execute(
        update(deliveries)
        .where(*due, _d.attempts >= most_attempts)
        .values(status="dead", failure=lost.to_json(), ended_at=func.now())
    )
    oldest = select(_d.id).where(*due).order_by(_d.next_at, _d.id).limit(limit)
    chosen = oldest.with_for_update(skip_locked=True).cte()
    rows = connection.execute(
        update(deliveries)
        .where(_d.id.in_(select(chosen.c.id)))
        .values(attempts=_d.attempts + 1, next_at=func.now() + LEASE)
        .returning(*_d)
    )
    return [_as_delivery(row) for row in rows]


def any_due(connection: Connection) -> bool:
    """Return whether a delivery is due."""
    query = select(_d.id).where(_WAITING, _d.next_at <= func.now()).limit(1)
    return connection.execute(query).first() is not None


def pin_forecast(connection: Connection, delivery: Delivery, forecast: Mapping[str, Any]) -> None:
    """Store what was forecast, which later attempts repeat."""
    mine = _d.id == delivery.id
    connection.execute(update(deliveries).where(mine).values(forecast=dict(forecast)))


def note_delivered(connection: Connection, delivery: Delivery) -> None:
    """Record that the receiver has it, whatever other attempts say."""
    connection.execute(
        update(deliveries)
        .where(_d.id == delivery.id)
        .values(status="delivered", failure=None, ended_at=func.now())
    )


def note_failure(
    connection: Connection, delivery: Delivery, failure: Message, wait: timedelta | None
) -> bool:
    """Record a failed attempt, unless a later one is under way; return whether it was recorded.

    Args:
        wait: until the next attempt; None: there is none.
    """
    values: dict[str, Any] = {"failure": failure.to_json()}
    if wait is None:
        values |= {"status": "dead", "ended_at": func.now()}
    else:
        values["next_at"] = func.now() + wait
    mine = (_d.id == delivery.id, _WAITING, _d.attempts == delivery.attempts)
    return bool(connection.execute(update(deliveries).where(*mine).values(**values)).rowcount)


def revive(connection: Connection, key: int, delivery_id: UUID | None = None) -> list[UUID]:
    """Let dead deliveries of a subscription wait again, from the first attempt on; return their ids."""
    mine = [_d.subscription_key == key, _d.status == "dead"]
    if delivery_id is not None:
        mine.append(_d.id == delivery_id)
    values = {"status": "waiting", "attempts": 0, "next_at": func.now(), "ended_at": None}
    statement = update(deliveries).where(*mine).values(**values).returning(_d.id)
    return list(connection.scalars(statement))


def end_oldest_waiting(connection: Connection, key: int, keep: int = MAX_WAITING) -> int:
    """Let all but the newest waiting deliveries of a subscription end as dead; return how many."""
    newest = select(_d.id).where(_d.subscription_key == key, _WAITING)
    newest = newest.order_by(_d.created_at.desc(), _d.id).limit(keep)
    failure = FAILURES.make("push_too_many", n=keep)
    statement = (
        update(deliveries)
        .where(_d.subscription_key == key, _WAITING, _d.id.not_in(newest.scalar_subquery()))
        .values(status="dead", failure=failure.to_json(), ended_at=func.now())
    )
    return connection.execute(statement).rowcount


def drop_ended(connection: Connection, region_key: int, before: datetime, keep: int) -> int:
    """Delete deliveries of a region that ended before an instant, or beyond the newest `keep`."""
    place = func.row_number().over(
        partition_by=_d.subscription_key, order_by=(_d.created_at.desc(), _d.id)
    )
    ranked = select(_d.id, place.label("place")).where(_d.region_key == region_key).subquery()
    beyond = select(ranked.c.id).where(ranked.c.place > keep)
    ended = (_d.region_key == region_key, ~_WAITING)
    old = (_d.ended_at < before) | _d.id.in_(beyond)
    return connection.execute(delete(deliveries).where(*ended, old)).rowcount
