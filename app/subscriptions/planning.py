"""Store a delivery for each occasion that is due; any number of workers may do so at any time."""

from __future__ import annotations

import logging
from datetime import datetime

from sqlalchemy import Connection, Engine

from app.access.store import find_key
from app.core.db.locks import count_lock
from app.core.errors import Unavailable
from app.core.roles import Role, seeing_unreleased, with_included
from app.regions.learning_policy import LearningPolicy
from app.regions.shifts import shifts_of
from app.regions.store import Region, get_region_by_key
from app.registry.visibility import served
from app.runs.schedules import database_clock
from app.states.store import FROZEN, last_number
from app.subscriptions.delivery_store import (
    add_delivery,
    any_due,
    end_oldest_waiting,
    known_occasions,
)
from app.subscriptions.occasions import due_by_clock
from app.subscriptions.store import Subscription, list_subscriptions

NO_KEYS = ("local", "oidc:")
"""How actors begin who have no key: the command line, holders of tokens."""
_log = logging.getLogger("hotslot.push")


def queue_deliveries(engine: Engine) -> bool:
    """Store what is due now in all regions; return whether a delivery waits to be sent.

    Faults of a subscription are logged and do not affect the others.

    Raises:
        Unavailable: the database cannot be reached, which would affect all that follow.
    """
    with engine.connect() as connection:
        found = list_subscriptions(connection)
    for subscription in found:
        try:
            with engine.begin() as connection:
                queue_due(connection, subscription)
        except Unavailable:
            raise
        except Exception:
            about = {"region_key": subscription.region_key, "subscription": subscription.name}
            _log.exception("looking for what is due failed", extra=about)
    with engine.connect() as connection:
        return any_due(connection)


def queue_due(
    connection: Connection, subscription: Subscription, now: datetime | None = None
) -> list[str]:
    """Store the deliveries of a subscription that are due; return their occasions."""
    region = get_region_by_key(connection, subscription.region_key)
    with seeing_unreleased(False):
        if served(connection, region.key) is None:
            return []
        due = _due(connection, subscription, region, now or database_clock(connection))
    known = known_occasions(connection, subscription.key, due)
    wanted = [occasion for occasion in due if occasion not in known]
    if not wanted or not owner_may(connection, subscription.owner, region):
        return []
    count_lock(connection, region.key)
    added = [o for o in wanted if add_delivery(connection, subscription, o) is not None]
    end_oldest_waiting(connection, subscription.key)
    return added


def _due(
    connection: Connection, subscription: Subscription, region: Region, now: datetime
) -> list[str]:
    if subscription.spec.occasion == "state":
        current = state_occasion(connection, region)
        return [] if current in (None, subscription.baseline) else [str(current)]
    shifts = shifts_of(region.settings)
    due = due_by_clock(subscription.spec, region.timezone, shifts, now)
    return [one.occasion for one in due if one.at >= subscription.created_at]


def state_occasion(connection: Connection, region: Region) -> str | None:
    """Return the occasion of the state in which readers are served; None: there is no version."""
    with seeing_unreleased(False):
        version = served(connection, region.key)
    if version is None:
        return None
    number = None
    if LearningPolicy.of(region.settings).assimilate != "off":
        number = last_number(connection, region.key, version)
    return f"state:{version}/{FROZEN if number is None else number}"


def owner_may(connection: Connection, owner: str, region: Region) -> bool:
    """Return whether who added a subscription may still have it: a key may be revoked, or have expired.

    Holders of tokens and the command line have no key that could end.
    """
    if owner.startswith(NO_KEYS):
        return True
    key = find_key(connection, owner)
    if key is None or not key.active(database_clock(connection)):
        return False
    return Role.ADMIN in with_included(key.roles) and key.caller().sees(region.id)
