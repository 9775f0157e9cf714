"""The application behind keys of every role, on a region without incidents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.access.service import NewKey, create_key
from app.core.roles import Role
from app.core.settings import Settings
from app.main import create_app
from app.regions.service import add_region

ROLES = tuple(role.value for role in Role)


@dataclass
class Guarded:
    """The application, and a key's text for each role, scope and state."""

    client: TestClient
    engine: Engine
    settings: Settings
    keys: dict[str, str] = field(default_factory=dict)

    def make(self, *roles: str, **options: object) -> str:
        """The text of a new key."""
        return create_key(self.engine, NewKey("test", roles, **options)).text  # type: ignore[arg-type]

    def ask(self, method: str, path: str, key: str | None = None, **options):
        headers = {"X-API-Key": key} if key is not None else {}
        headers |= options.pop("headers", {})
        return self.client.request(method, path, headers=headers, **options)


@pytest.fixture(scope="module")
def guarded(engine, settings) -> Iterator[Guarded]:
    for region in ("here", "there"):
        add_region(engine, region, timezone="UTC")
    with TestClient(create_app(settings, engine)) as client:
        made = Guarded(client, engine, settings)
        for role in ROLES:
            made.keys[role] = made.make(role, rate_per_s=0)
            made.keys[f"{role} here"] = made.make(role, regions=["here"], rate_per_s=0)
        yield made
