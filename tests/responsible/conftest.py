"""Fixtures of an adversary with ordinary keys."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.access.service import NewKey, create_key
from app.main import create_app
from app.regions.service import add_region
from tests.responsible.small_region import BOX, START, row


@pytest.fixture
def place(engine, settings):
    """A client with keys of all roles, on a region of 300 incidents in 30 days."""
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE regions, api_keys CASCADE"))
    add_region(engine, "small", timezone="UTC", boundary=BOX, cell_size_m=250.0)
    roles = ("reader", "trainer", "ingester", "analyst", "admin")
    keys = {r: create_key(engine, NewKey("t", (r,), rate_per_s=0)).text for r in roles}
    with TestClient(create_app(settings, engine)) as client:

        def ask(role, method, path, **options):
            path = f"/v1/regions/small{path}"
            return client.request(method, path, headers={"X-API-Key": keys[role]}, **options)

        rows = [
            row(
                START + timedelta(hours=2.4 * k), (10.001 + k % 29 * 0.002, 50.001 + k % 19 * 0.002)
            )
            for k in range(300)
        ]
        assert ask("ingester", "POST", "/incidents", json=rows).json()["accepted"] == 300
        ask.client, ask.headers = client, lambda role: {"X-API-Key": keys[role]}
        yield ask
