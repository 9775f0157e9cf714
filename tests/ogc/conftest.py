"""The served town with streets and neighbourhoods, and keys of a reader and an analyst."""

from __future__ import annotations

import json

import pytest
from fastapi.testclient import TestClient

from app.access.service import NewKey, create_key
from app.geo.synthetic import synthetic_city
from app.geo.synthetic_streets import synthetic_streets
from app.main import create_app
from app.regions.store import get_region, set_neighbourhoods
from tests.support.services.served import served
from tests.support.simulated.town import halves

__all__ = ["served"]
AT = "2019-12-27T23:00:00-05:00"


@pytest.fixture(scope="module")
def ogc(served):
    """A client of the service with an administrator's key."""
    key = create_key(served.engine, NewKey("admin", ("admin",), rate_per_s=0)).text
    served.client.headers["X-API-Key"] = key
    with served.engine.begin() as connection:
        collection = {"type": "FeatureCollection", "features": halves()}
        set_neighbourhoods(connection, get_region(connection, "town").key, collection)
    drawn = synthetic_streets(synthetic_city().area, 400.0)
    reply = served.client.put(
        "/v1/regions/town/streets",
        content=json.dumps(drawn),
        headers={"Content-Type": "application/geo+json"},
    )
    assert reply.status_code == 200, reply.text
    service = served.client.app.state.forecasts
    service.forget_region("town")
    return served.client


@pytest.fixture(scope="module")
def keyed(ogc, served, settings):
    """Clients by role, of another process on the same database."""
    keys = {
        r: create_key(served.engine, NewKey(r, (r,), rate_per_s=0)).text
        for r in ("reader", "analyst")
    }
    with TestClient(create_app(settings, served.engine)) as client:
        yield lambda role, path, **query: client.get(
            path, params=query, headers={"X-API-Key": keys[role]}
        )
