"""A small region behind keys, as an adversary with an ordinary key meets it."""

from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.access.service import NewKey, create_key
from app.main import create_app
from app.regions.service import add_region
from app.worker.jobs import work_on

BOX = {
    "type": "Polygon",
    "coordinates": [[[10, 50], [10.06, 50], [10.06, 50.04], [10, 50.04], [10, 50]]],
}
START = datetime(2024, 1, 1, tzinfo=UTC)


def row(at, place=(10.03, 50.02), category="theft"):
    return {
        "occurred_at": at.isoformat(),
        "longitude": place[0],
        "latitude": place[1],
        "category": category,
    }


def train(engine, settings, ask, role, **request):
    """The version that a training over HTTP makes, and the reply to its request."""
    reply = ask(
        role, "POST", "/training-runs", json={"model": "pooled-kde", "validate": False, **request}
    )
    if reply.status_code != 202:
        return None, reply
    work_on(engine, settings, "train", reply.json()["id"])
    run = ask("admin", "GET", f"/training-runs/{reply.json()['id']}").json()
    assert run["status"] == "succeeded", run
    return run["model_version"], reply


def backtest(engine, settings, ask, role, reader="reader", **request):
    """The result of a backtest over HTTP as a reader sees it, and the reply to its request."""
    reply = ask(role, "POST", "/backtests", json={"models": ["pooled-kde"], **request})
    if reply.status_code != 202:
        return None, reply
    work_on(engine, settings, "backtest", reply.json()["id"])
    run = ask(reader, "GET", f"/backtests/{reply.json()['id']}").json()
    return run["result"], run


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
