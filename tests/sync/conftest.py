from __future__ import annotations

import itertools

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.core.settings import Settings
from app.regions.service import add_region
from app.sync.connectors.portal import PortalClient
from app.sync.schedule import claim_here
from app.sync.service import add_source
from app.sync.spec import SourceSpec
from app.worker.jobs import run_claimed
from tests.support.services.portals import COLUMNS, SOCRATA_PATH, TOKEN, Portals, serve

_numbers = itertools.count()


@pytest.fixture
def portals():
    made = Portals()
    server = serve(made)
    yield made
    made.release.set()
    server.should_exit = True


@pytest.fixture
def sync_settings(settings):
    return settings.model_copy(
        update={
            "sync_allow_loopback": True,
            "sync_backoff_s": 0.01,
            "sync_max_wait_s": 2.0,
            "sync_tokens": {"portal": SecretStr(TOKEN)},
        }
    )


class City:
    """A region with one source, read in this process."""

    def __init__(self, engine, settings, spec: SourceSpec, timezone="America/Toronto", **when):
        self.engine, self.settings = engine, settings
        self.id = add_region(engine, f"city{next(_numbers)}", timezone=timezone).id
        self.source = add_source(engine, settings, self.id, "portal", spec, **when)

    def sync(self, *, full: bool = False, **changes):
        settings = self.settings.model_copy(update=changes)
        run = claim_here(self.engine, self.id, "portal", full=full)
        return run_claimed(self.engine, settings, "sync", run)

    def stored(self) -> dict[str | None, int]:
        """{external id: rows}."""
        query = (
            "SELECT i.external_id, count(*) FROM incidents i JOIN regions r ON r.key ="
            " i.region_key WHERE r.id = :id GROUP BY 1"
        )
        with self.engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(text(query), {"id": self.id})}

    def column(self, sql: str) -> list:
        query = (
            f"SELECT {sql} FROM incidents i JOIN regions r ON r.key = i.region_key WHERE r.id = :id"
        )
        with self.engine.connect() as connection:
            return sorted(connection.execute(text(query), {"id": self.id}).scalars())


@pytest.fixture
def city(engine, sync_settings):
    def make(spec: SourceSpec, **when) -> City:
        return City(engine, sync_settings, spec, **when)

    return make


@pytest.fixture
def socrata(portals, city):
    """A city that reads the local Socrata, three rows at a time."""

    def make(**more) -> City:
        known = {"columns": COLUMNS, "page_rows": 3, "overlap_days": 0.0, **more}
        when = {name: known.pop(name) for name in ("every_s", "cron") if name in known}
        url = portals.url + known.pop("path", SOCRATA_PATH)
        return city(SourceSpec("socrata", url, **known), **when)

    return make


@pytest.fixture
def client(portals):
    """A client of the local portal, without a database."""
    settings = Settings(sync_allow_loopback=True, sync_backoff_s=0.01, sync_max_wait_s=2.0)
    with PortalClient(settings, portals.url, {}, lambda: None) as made:
        yield made
