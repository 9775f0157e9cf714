"""Add, list, try and remove subscriptions; retry their deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine

from app.audit import store as audit
from app.core.bounds import MAX_SUBSCRIPTIONS
from app.core.db.locks import count_lock
from app.core.errors import Conflict, InvalidInput, LimitExceeded
from app.core.roles import current_actor
from app.core.settings import Settings
from app.regions.store import Region, get_region
from app.subscriptions import delivery_store, store
from app.subscriptions.delivery_store import Delivery, Status
from app.subscriptions.folder import folder_of
from app.subscriptions.mail import check_mail
from app.subscriptions.planning import owner_may, state_occasion
from app.subscriptions.signing import digest_of, new_salt, push_key, secret_of
from app.subscriptions.spec import SubscriptionSpec, check_name
from app.subscriptions.store import Subscription

MAX_STORED = 1_000
"""Deliveries of one subscription."""
DEFAULT_GRACE_HOURS, MAX_GRACE_HOURS = 24.0, 24.0 * 365


@dataclass(frozen=True)
class Shown:
    """A subscription with its deliveries by status, and whether its owner's key still allows it."""

    subscription: Subscription
    active: bool
    deliveries: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return it as the API and the command line show it, without its secret."""
        one = self.subscription
        return {
            "name": one.name,
            **one.spec.to_json(),
            "owner": one.owner,
            "active": self.active,
            "signed": one.salt is not None,
            "created_at": one.created_at,
            "deliveries": {
                status: self.deliveries.get(status, 0)
                for status in ("waiting", "delivered", "dead")
            },
        }


@dataclass(frozen=True)
class Added:
    """A subscription and its secret, which is shown only now; None: it needs none."""

    shown: Shown
    secret: str | None


def add_subscription(
    engine: Engine, settings: Settings, region_id: str, name: str, spec: SubscriptionSpec
) -> Added:
    """Store a subscription of the caller.

    Raises:
        NotFound: no such region.
        InvalidInput: name or specification is invalid, or its target is not set up or not allowed.
        Conflict: the region has a subscription of that name.
        LimitExceeded: the region has too many.
    """
    check_name(name)
    spec.checked()
    sealed: dict[str, bytes] = {}
    secret = None
    if spec.target == "webhook":
        # Imported here because its library (httpx) would slow down every start of the API.
        from app.subscriptions.webhook import check_receiver

        check_receiver(spec.address, settings)
        secret, sealed = _new_secret(settings)
    elif spec.target == "email":
        check_mail(settings)
    else:
        folder_of(spec.address, settings)
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        count_lock(connection, region.key)
        n = len(store.list_subscriptions(connection, region.key))
        if n >= MAX_SUBSCRIPTIONS:
            raise LimitExceeded(
                f"the region has {n} subscriptions, the limit is {MAX_SUBSCRIPTIONS}; remove one first",
                field="name",
                limit=MAX_SUBSCRIPTIONS,
                asked=n + 1,
            )
        baseline = state_occasion(connection, region) if spec.occasion == "state" else None
        owner = current_actor.get()
        added = store.insert_subscription(
            connection, region.key, name, spec, owner, baseline, **sealed
        )
        _record(connection, "subscription.added", region, added)
        return Added(Shown(added, active=True, deliveries={}), secret)


def _new_secret(settings: Settings) -> tuple[str, dict[str, bytes]]:
    """Return a new secret, and what is stored of it."""
    salt = new_salt()
    secret = secret_of(push_key(settings), salt)
    return secret, {"salt": salt, "secret_sha256": digest_of(secret)}


def subscriptions_of(engine: Engine, region_id: str) -> list[Shown]:
    """List a region's subscriptions, by name.

    Raises:
        NotFound: no such region.
    """
    with engine.connect() as connection:
        region = get_region(connection, region_id)
        return [
            _shown(connection, region, one)
            for one in store.list_subscriptions(connection, region.key)
        ]


def show_subscription(engine: Engine, region_id: str, name: str) -> Shown:
    """Return one subscription.

    Raises:
        NotFound: no such region or subscription.
    """
    with engine.connect() as connection:
        region = get_region(connection, region_id)
        return _shown(connection, region, store.get_subscription(connection, region.key, name))


def _shown(connection: Connection, region: Region, one: Subscription) -> Shown:
    counts = delivery_store.counts_by_status(connection, one.key)
    return Shown(one, owner_may(connection, one.owner, region), counts)


def remove_subscription(engine: Engine, region_id: str, name: str) -> None:
    """Remove a subscription with its deliveries.

    Raises:
        NotFound: no such region or subscription.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        one = store.get_subscription(connection, region.key, name)
        store.delete_subscription(connection, one.key)
        _record(connection, "subscription.removed", region, one)


def rotate_secret(
    engine: Engine, settings: Settings, region_id: str, name: str, grace_hours: float
) -> Added:
    """Give a webhook a new secret; until the grace ends, messages are signed with both.

    Raises:
        NotFound: no such region or subscription.
        Conflict: the subscription is no webhook.
        InvalidInput: the grace is out of range.
    """
    if not 0 <= grace_hours <= MAX_GRACE_HOURS:
        raise InvalidInput(
            f"grace_hours must lie within 0..{MAX_GRACE_HOURS:.0f}", field="grace_hours"
        )
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        one = store.get_subscription(connection, region.key, name)
        if one.salt is None:
            raise Conflict("only webhooks have a secret", code="no_secret")
        secret, sealed = _new_secret(settings)
        until = datetime.now(UTC) + timedelta(hours=grace_hours)
        changed = store.change_subscription(
            connection,
            one.key,
            **sealed,
            previous_salt=one.salt if grace_hours else None,
            previous_until=until if grace_hours else None,
        )
        _record(connection, "subscription.rotated", region, changed, grace_hours=grace_hours)
        return Added(_shown(connection, region, changed), secret)


def request_test(engine: Engine, region_id: str, name: str) -> Delivery:
    """Store a delivery of the next 24 hours, by which a receiver can be tried.

    Raises:
        NotFound: no such region or subscription.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        one = store.get_subscription(connection, region.key, name)
        count_lock(connection, region.key)
        made = delivery_store.add_delivery(connection, one, f"test:{uuid4()}")
        assert made is not None  # noqa: S101 (a random name)
        delivery_store.end_oldest_waiting(connection, one.key)
        _record(connection, "subscription.tested", region, one)
        return made


def deliveries_of(
    engine: Engine, region_id: str, name: str, status: Status | None, limit: int
) -> list[Delivery]:
    """Return a subscription's newest deliveries, newest first.

    Raises:
        NotFound: no such region or subscription.
    """
    with engine.connect() as connection:
        region = get_region(connection, region_id)
        one = store.get_subscription(connection, region.key, name)
        return delivery_store.list_deliveries(connection, one.key, status, limit)


def find_delivery(engine: Engine, region_id: str, name: str, delivery_id: UUID) -> Delivery:
    """Return one delivery.

    Raises:
        NotFound: no such region, subscription or delivery.
    """
    with engine.connect() as connection:
        region = get_region(connection, region_id)
        one = store.get_subscription(connection, region.key, name)
        return delivery_store.find_delivery(connection, one.key, delivery_id)


def retry_deliveries(
    engine: Engine, region_id: str, name: str, delivery_id: UUID | None = None
) -> Sequence[UUID]:
    """Let a dead delivery, or all of a subscription, wait again; return their ids.

    Raises:
        NotFound: no such region, subscription or delivery.
        Conflict: the delivery is not dead.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        one = store.get_subscription(connection, region.key, name)
        if delivery_id is not None:
            found = delivery_store.find_delivery(connection, one.key, delivery_id)
            if found.status != "dead":
                raise Conflict(f"the delivery is {found.status}, not dead", code="not_dead")
        revived = delivery_store.revive(connection, one.key, delivery_id)
        if revived:
            _record(connection, "delivery.retried", region, one, deliveries=len(revived))
        return revived


def forget_old_deliveries(engine: Engine, settings: Settings, region: Region, now: datetime) -> int:
    """Delete the deliveries that retention no longer allows; return how many."""
    before = now - timedelta(days=settings.push_retention_days)
    with engine.begin() as connection:
        dropped = delivery_store.drop_ended(connection, region.key, before, MAX_STORED)
        if dropped:
            audit.record(connection, "deliveries.dropped", chain=region.id, deliveries=dropped)
    return dropped


def _record(
    connection: Connection, action: str, region: Region, one: Subscription, **more: Any
) -> None:
    """Say in the audit log what was done; addresses may be of persons, and entries are for ever."""
    spec = one.spec
    about = {"subscription": one.name, "occasion": spec.occasion, "target": spec.target}
    audit.record(connection, action, chain=region.id, **about, **more)
