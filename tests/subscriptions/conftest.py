"""The town with a version, receivers of all kinds, and settings that allow them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from app.access.service import NewKey, create_key
from app.core.settings import Settings
from app.subscriptions.delivery_store import list_deliveries
from app.subscriptions.sending import Sender, Sent
from app.subscriptions.store import list_subscriptions
from tests.support.services.receivers import MailServer, Receiver, mail_server, receiving
from tests.support.services.served import served

__all__ = ["served"]
CHANGES = {"push_key": SecretStr("k" * 40), "sync_allow_loopback": True, "push_backoff_s": 0.0}


@pytest.fixture
def receiver():
    with receiving() as made:
        yield made


@pytest.fixture
def mail():
    with mail_server() as made:
        yield made


@dataclass
class Office:
    """The region `town`, whose administrator subscribes and whose worker is this process."""

    engine: Engine
    settings: Settings
    client: Any
    keys: dict[str, str]
    receiver: Receiver
    mail: MailServer
    folder: Path
    secrets: dict[str, str] = field(default_factory=dict)

    def ask(self, role: str, method: str, path: str, **options: Any):
        headers = {"X-API-Key": self.keys[role]}
        url = f"/v1/regions/town{path}"
        return self.client.request(method, url, headers=headers, **options)

    def subscribe(self, name: str = "hook", target: str = "webhook", **more: Any) -> dict:
        addresses = {
            "webhook": self.receiver.url, "email": "desk@example.org", "folder": "shift/desk"
        }  # fmt: skip
        known = {"occasion": "state", "target": target, "address": addresses[target]}
        reply = self.ask("admin", "POST", "/subscriptions", json={"name": name, **known, **more})
        assert reply.status_code == 201, reply.text
        if reply.json()["secret"] is not None:
            self.secrets[name] = reply.json()["secret"]
        return reply.json()

    def test(self, name: str = "hook") -> str:
        """Store a delivery; return its id."""
        reply = self.ask("admin", "POST", f"/subscriptions/{name}/test")
        assert reply.status_code == 202, reply.text
        return reply.json()["id"]

    def send(self, **changes: Any) -> Sent:
        return Sender(self.engine, self.settings.model_copy(update=changes)).send_due()

    def deliveries(self, name: str = "hook", **query: Any) -> list[dict]:
        reply = self.ask("analyst", "GET", f"/subscriptions/{name}/deliveries", params=query)
        assert reply.status_code == 200, reply.text
        return reply.json()["deliveries"]

    def stored(self):
        with self.engine.connect() as connection:
            return [
                one
                for subscription in list_subscriptions(connection)
                for one in list_deliveries(connection, subscription.key, None, 100)
            ]

    def subscription(self):
        with self.engine.connect() as connection:
            return list_subscriptions(connection)[0]

    def sql(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)


@pytest.fixture(scope="module", autouse=True)
def allowed(settings):
    """Settings of this module's service: what an administrator may allow."""
    for name, value in CHANGES.items():
        setattr(settings, name, value)


@pytest.fixture(scope="module")
def keys(served, engine):
    roles = ("reader", "analyst", "trainer", "admin")
    return {r: create_key(engine, NewKey("t", (r,), rate_per_s=0)).text for r in roles}


@pytest.fixture
def office(served, engine, settings, keys, receiver, mail, tmp_path):
    folder = tmp_path / "push"
    folder.mkdir()
    folder.chmod(0o750)
    more = {
        "push_folder": folder, "smtp_host": "127.0.0.1", "smtp_port": mail.port,
        "smtp_security": "none", "smtp_sender": "hotslot@city.example",
    }  # fmt: skip
    for name, value in more.items():
        setattr(settings, name, value)
    made = Office(engine, settings, served.client, keys, receiver, mail, folder)
    made.sql("TRUNCATE subscriptions CASCADE")
    made.sql("UPDATE api_keys SET revoked_at = NULL")
    return made
