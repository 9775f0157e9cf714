"""No door tells a reader a fingerprint of incidents that could be tried against guesses."""

import hashlib
import re

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.access.service import NewKey, create_key
from app.incidents.column_store import read_columns
from app.main import create_app
from app.regions.store import get_region
from app.training.service import TrainingRequest
from app.worker.jobs import run_now

HEX = re.compile(r"[0-9a-f]{10,}")


@pytest.fixture(scope="module")
def trained(engine, settings, town):
    """The version of a training, and a client with a key of each role."""
    run = run_now(
        engine, settings, town, TrainingRequest("pooled-kde", seed=1), lambda _s, _m: None
    )
    assert run.status == "succeeded", run.message
    roles = ("reader", "trainer", "ingester", "analyst", "admin")
    keys = {r: create_key(engine, NewKey("t", (r,), rate_per_s=0)).text for r in roles}
    with TestClient(create_app(settings, engine)) as client:
        yield client, keys, run.model_version


def plain_hashes(engine, town):
    """What an attacker computes from the true incidents."""
    with engine.begin() as connection:
        columns = read_columns(connection, get_region(connection, town))
    digest = hashlib.sha256()
    for array in (columns.time_s, columns.window, columns.x_m, columns.y_m, columns.category):
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update("\x00".join(columns.category_names).encode())
    return {digest.hexdigest()}


def doors(town, version):
    base = f"/v1/regions/{town}"
    yield from ("/v1/regions", base, f"{base}/models", f"{base}/models/{version}")
    yield from (f"{base}/models/{version}/card?f={f}" for f in ("json", "md", "html"))
    at = "at=2020-01-04T12:00"
    yield from (f"{base}/forecasts/density?{at}&f={f}" for f in ("json", "geojson", "csv", "tif"))
    yield from (f"{base}/forecasts/hotspots?{at}", f"{base}/forecasts/samples?{at}&n=5")
    yield from (
        f"{base}/training-runs",
        f"{base}/fairness-report",
        f"{base}/worth",
        f"{base}/alarms",
    )


@pytest.mark.slow
@pytest.mark.parametrize("role", ["reader", "trainer", "ingester"])
def test_no_door_shows_who_may_not_list_incidents_a_digest_of_them(trained, engine, town, role):
    client, keys, version = trained
    with engine.connect() as connection:
        row = connection.execute(
            text("SELECT data_hash, artifact_sha256 FROM model_versions")
        ).one()
    secret = {*row, *plain_hashes(engine, town)}
    for door in doors(town, version):
        reply = client.get(door, headers={"X-API-Key": keys[role]})
        may = role != "ingester" or door in ("/v1/regions", f"/v1/regions/{town}")
        assert reply.status_code == (200 if may else 403), (door, reply.text[:200])
        shown = " ".join([reply.text, *reply.headers.values()])
        found = [h for h in HEX.findall(shown) if any(h == s for s in secret)]
        assert not found, f"{door} tells {role} {found}"
        assert "data_hash" not in shown.lower().replace("-", "_"), door


@pytest.mark.parametrize("role", ["analyst", "admin"])
def test_who_may_list_incidents_gets_a_keyed_digest_to_check(trained, engine, town, role):
    client, keys, version = trained
    path = f"/v1/regions/{town}/models/{version}"
    shown = client.get(path, headers={"X-API-Key": keys[role]}).json()["data_hash"]
    assert re.fullmatch("[0-9a-f]{64}", shown)
    assert shown not in plain_hashes(engine, town)


def test_equal_data_and_seed_give_the_same_digest_and_name(trained, engine, settings, town):
    _, _, version = trained
    again = run_now(
        engine, settings, town, TrainingRequest("pooled-kde", seed=1), lambda _s, _m: None
    )
    assert again.model_version == version
    with engine.connect() as connection:
        names = connection.scalars(text("SELECT DISTINCT data_hash FROM model_versions")).all()
    assert len(names) == 1


def test_the_key_is_random_and_another_installation_gives_another_digest(trained, engine, town):
    with engine.connect() as connection:
        key = bytes(connection.scalar(text("SELECT value FROM secrets WHERE name = 'data_hash'")))
    assert len(key) == 32
    assert len(set(key)) > 10
