"""A process that has just started says that it is ready when the first requests will not wait for it."""

import threading

import fastapi.routing
import pytest
from fastapi.testclient import TestClient

from app.forecasts.warmup import ChampionWarmup
from app.main import create_app
from app.monitoring import system_routes


@pytest.fixture
def held(monkeypatch):
    """A warm-up that ends when the event is set."""
    ends = threading.Event()
    monkeypatch.setattr(ChampionWarmup, "warm_up_if_possible", lambda _self: ends.wait(60))
    yield ends
    ends.set()


def test_readiness_waits_for_the_first_warm_up(settings, engine, held, monkeypatch):
    monkeypatch.setattr(system_routes, "WARM_UP_S", 60.0)
    with TestClient(create_app(settings, engine)) as client:
        warmed_up = client.app.state.warmed_up
        letting_go = threading.Timer(0.3, held.set)
        letting_go.start()
        assert not warmed_up.is_set()
        assert client.get("/readyz").status_code == 200
        assert warmed_up.is_set()
        letting_go.join()


def test_readiness_does_not_wait_for_a_warm_up_that_takes_long(settings, engine, held, monkeypatch):
    monkeypatch.setattr(system_routes, "WARM_UP_S", 0.1)
    with TestClient(create_app(settings, engine)) as client:
        assert client.get("/readyz").status_code == 200
        assert not client.app.state.warmed_up.is_set()
        held.set()


def test_routes_are_built_once_whatever_apps_there_are(settings, engine):
    """FastAPI's `include_router` built them anew for each, at the first request that they might match."""
    one, other = (create_app(settings, engine) for _ in range(2))
    parts = [route for route in one.routes if isinstance(route, fastapi.routing.APIRoute)]
    assert len(parts) > 100
    assert parts == [r for r in other.routes if isinstance(r, fastapi.routing.APIRoute)]
    assert not [r for r in one.routes if isinstance(r, fastapi.routing._IncludedRouter)]
