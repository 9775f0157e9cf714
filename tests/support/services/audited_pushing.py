"""Acts of the presence log and of subscriptions that leave an entry in the audit log."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import shapely
from pydantic import SecretStr
from sqlalchemy import text

from app.core.errors import HotslotError
from app.geo.synthetic import synthetic_city
from app.presence.service import (
    erase_presence,
    exposure_of,
    forget_old_presence,
    list_presence,
    store_presence,
)
from app.presence.store import PresenceQuery
from app.regions.store import get_region
from app.subscriptions.sending import Sender
from app.subscriptions.service import (
    add_subscription,
    forget_old_deliveries,
    remove_subscription,
    request_test,
    retry_deliveries,
    rotate_secret,
)
from app.subscriptions.spec import SubscriptionSpec
from tests.support.services.receivers import receiving

REGION = "walked"


class ActsOfPresence:
    """What is done with the log of where patrols were; `Acts` has the rest."""

    def stay(self):
        start = datetime.now(UTC) - timedelta(days=1)
        centre = shapely.from_geojson(json.dumps(synthetic_city().area.to_geojson())).centroid
        row = {
            "from": start.isoformat(),
            "to": (start + timedelta(hours=1)).isoformat(),
            "activity": "patrol",
            "geometry": json.loads(shapely.to_geojson(centre.buffer(0.001))),
        }
        body = [json.dumps([row]).encode()]
        told = store_presence(self.engine, REGION, body, "application/json", self.settings)
        assert told.accepted == 1, told.errors

    def stays(self):
        list_presence(self.engine, REGION, PresenceQuery(), 10, "geojson")

    def exposure(self):
        exposure_of(self.engine, REGION, None, None)

    def forget_stays(self):
        with self.engine.connect() as connection:
            region = get_region(connection, REGION)
        days = self.settings.presence_retention_days + 1
        later = datetime.now(UTC) + timedelta(days=days)
        assert forget_old_presence(self.engine, self.settings, region, later) == 1

    def erase_stays(self):
        assert erase_presence(self.engine, REGION, PresenceQuery()) == 1


class ActsOfPushing:
    """What is done with subscriptions and their deliveries."""

    def subscribe(self):
        self.settings.push_key = SecretStr("k" * 40)
        spec = SubscriptionSpec("state", "webhook", f"{self.portal_url}/none")
        add_subscription(self.engine, self.settings, REGION, "hook", spec)

    def push(self):
        """Fail at once: the portal is no receiver."""
        settings = self.settings.model_copy(update={"push_max_attempts": 1})
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE deliveries SET next_at = now(), attempts = 0"))
        Sender(self.engine, settings).send_due()

    def test(self):
        request_test(self.engine, REGION, "hook")

    def retry(self):
        if not retry_deliveries(self.engine, REGION, "hook"):
            raise HotslotError("no dead delivery")

    def take(self):
        """Deliver to a receiver that takes everything."""
        with receiving() as receiver:
            spec = SubscriptionSpec("state", "webhook", receiver.url).to_json()
            with self.engine.begin() as connection:
                change = text("UPDATE subscriptions SET spec = CAST(:spec AS jsonb)")
                connection.execute(change, {"spec": json.dumps(spec)})
                connection.execute(text("UPDATE deliveries SET next_at = now(), attempts = 0"))
            Sender(self.engine, self.settings).send_due()

    def new_secret(self):
        rotate_secret(self.engine, self.settings, REGION, "hook", 1.0)

    def forget_deliveries(self):
        with self.engine.connect() as connection:
            region = get_region(connection, REGION)
        later = datetime.now(UTC) + timedelta(days=self.settings.push_retention_days + 1)
        assert forget_old_deliveries(self.engine, self.settings, region, later) == 1

    def unsubscribe(self):
        remove_subscription(self.engine, REGION, "hook")
