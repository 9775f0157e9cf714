"""Champions are made ready before requests ask for them, and none is served in another's place."""

import time

import numpy as np
import pytest

from app.forecasts.versions.loaded import LoadedVersion
from app.forecasts.warmup import ChampionWarmup
from app.regions.store import get_region
from app.registry.champions import get_champion, promote
from tests.support.services.served import OLD, register

BASE = "/v1/regions/town"
AT = f"{BASE}/forecasts/density?at=2019-12-31T23:00"
WAIT_S = 30.0


@pytest.fixture
def service(served):
    return served.client.app.state.forecasts


@pytest.fixture(scope="module")
def champion(served):
    return served.client.get(AT).headers["X-Hotslot-Model-Version"]


def promote_elsewhere(served, version):
    """As another process does it: nothing here is told."""
    with served.engine.begin() as connection:
        key = get_region(connection, "town").key
        promote(connection, key, version, "test")


def new_version(served, model):
    table = np.random.default_rng(len(model)).dirichlet(np.ones(len(served.grid)))[None]
    return register(served.engine, served.data, model, OLD, {-1: table})


def is_loaded(service, version):
    return service.cache.get(("version", "town", version), LoadedVersion) is not None


def test_a_champion_of_another_process_is_ready_without_a_request(served, service, champion):
    version = new_version(served, "ahead")
    assert not is_loaded(service, version)
    promote_elsewhere(served, version)
    try:
        ends = time.monotonic() + WAIT_S
        while not is_loaded(service, version):
            assert time.monotonic() < ends
            time.sleep(0.05)
        assert served.client.get(AT).headers["X-Hotslot-Model-Version"] == version
    finally:
        promote_elsewhere(served, champion)


def test_a_promotion_here_has_its_version_ready_and_is_served_at_once(served, service, champion):
    version = new_version(served, "here")
    for wanted in (version, champion):
        served.client.post(f"{BASE}/models/{wanted}/promote").raise_for_status()
        assert is_loaded(service, wanted)
        assert served.client.get(AT).headers["X-Hotslot-Model-Version"] == wanted


def test_a_model_is_promoted_by_its_newest_version(served, champion):
    version = new_version(served, "named")
    try:
        reply = served.client.post(f"{BASE}/models/named/promote").raise_for_status()
        assert reply.json()["champion"] == version
    finally:
        promote_elsewhere(served, champion)


def test_a_damaged_champion_is_looked_at_once_and_others_are_still_made_ready(served, service):
    warmup = ChampionWarmup(service)
    warmup.warm_up_new()
    damaged, sound = new_version(served, "torn"), new_version(served, "whole")
    with served.engine.begin() as connection:
        before = get_champion(connection, get_region(connection, "town").key).version
    promote_elsewhere(served, damaged)
    try:
        with served.engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE forecast_grids SET cell_values = set_byte(cell_values, 0, "
                "get_byte(cell_values, 0) # 1) WHERE version = %s",
                (damaged,),
            )
        service.cache.discard(("version", "town", damaged))
        warmup.warm_up_new()
        assert warmup.seen["town"] == damaged
        promote_elsewhere(served, sound)
        warmup.warm_up_new()
        assert warmup.seen["town"] == sound
        assert is_loaded(service, sound)
    finally:
        promote_elsewhere(served, before)
