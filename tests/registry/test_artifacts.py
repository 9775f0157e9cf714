"""R3: what is stored of a version is cut, flipped, renamed or poisoned."""

import hashlib
import pickle
from datetime import UTC, datetime

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.main import create_app
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.artifacts import ArtifactCorrupt, pack, unpack
from app.registry.integrity import check_grid_name, version_name
from app.registry.version_registration import register_version
from tests.support.simulated.champions import put_back

DENSITY = "/v1/regions/town/forecasts/density?window=3"
DAMAGES = {
    "flipped": "UPDATE forecast_grids SET cell_values = set_bit(cell_values, 77, "
    "1 - get_bit(cell_values, 77)) WHERE version = :v",
    "cut": "UPDATE forecast_grids SET cell_values = substr(cell_values, 5) WHERE version = :v",
    "another's": "UPDATE forecast_grids g SET cell_values = o.cell_values, digest = o.digest "
    "FROM forecast_grids o WHERE g.version = :v AND o.version <> :v "
    'AND (o.category_code, o."window") = (g.category_code, g."window")',
    "missing": "DELETE FROM forecast_grids WHERE version = :v",
    "another grid": "UPDATE grids SET x0_m = x0_m + 1",
    "another artifact": "UPDATE artifacts SET content = set_byte(content, 100, "
    "255 - get_byte(content, 100)) FROM model_versions m WHERE m.version = :v "
    "AND m.artifact_sha256 = sha256",
}


@pytest.fixture(params=DAMAGES)
def damaged(request, engine, versions):
    """Damage the champion for the length of a test."""
    with put_back(engine):
        with engine.begin() as connection:
            connection.execute(text(DAMAGES[request.param]), {"v": versions[1]})
        yield request.param


def test_the_version_before_serves_and_the_damaged_one_is_not_promoted(
    engine, settings, town, versions, damaged
):
    with TestClient(create_app(settings, engine)) as client:
        reply = client.get(DENSITY)
        named = client.get(f"{DENSITY}&model={versions[1]}")
        promoted = client.post(f"/v1/regions/{town}/models/{versions[1]}/promote")
    assert (promoted.status_code, promoted.json()["code"]) == (409, "artifact_corrupt")
    if damaged == "another artifact":  # no reply is made of it
        assert reply.headers["x-hotslot-model-version"] == versions[1]
    elif damaged == "another grid":  # both versions stand on it
        assert reply.status_code == named.status_code == 409
    else:
        assert reply.headers["x-hotslot-model-version"] == versions[0]
        assert sum(reply.json()["cells"]["probability"]) == pytest.approx(1.0)
        assert named.status_code == 409


def test_after_damage_the_version_before_serves_at_once(engine, settings, versions):
    flip = text(DAMAGES["flipped"])
    with TestClient(create_app(settings, engine)) as client:
        assert client.get(DENSITY).headers["x-hotslot-model-version"] == versions[1]
        service = client.app.state.forecasts
        service.cache.discard(("table", 1, versions[1], -1, 3))
        with engine.begin() as connection:
            connection.execute(flip, {"v": versions[1]})
        try:
            replies = [client.get(f"{DENSITY}&cell_size_m={size}") for size in (500, 750, 1000)]
        finally:
            with engine.begin() as connection:
                connection.execute(flip, {"v": versions[1]})
    assert [r.status_code for r in replies] == [200, 200, 200]
    assert {r.headers["x-hotslot-model-version"] for r in replies} == {versions[0]}


def test_no_flip_cut_or_poison_gets_through_an_artifact():
    rng = np.random.default_rng(1)
    content, sha256 = pack({"model": "x"}, {"p": rng.random((4, 64)).astype(np.float32)})
    for _ in range(2000):
        broken = bytearray(content)
        broken[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        with pytest.raises(ArtifactCorrupt):
            unpack(bytes(broken), sha256)
    for length in range(0, len(content), 7):
        with pytest.raises(ArtifactCorrupt):
            unpack(content[:length], sha256)
    poison = pickle.dumps({"p": content})
    with pytest.raises(ArtifactCorrupt):
        unpack(poison, hashlib.sha256(poison).hexdigest())


def test_weights_that_are_no_numbers_never_reach_the_registry(engine, town, versions):
    with pytest.raises(ValueError, match="finite"):
        pack({}, {"p": np.array([1.0, np.nan])})
    with engine.begin() as connection:
        record = registry.get_version(connection, get_region(connection, town).key, versions[0])
        bad = registry.NewVersion(
            **{name: getattr(record, name) for name in registry.NewVersion.__dataclass_fields__}
            | {"version": "poisoned"}
        )
        with pytest.raises(ValueError, match="finite"):
            register_version(connection, bad, {-1: np.full((1, 3), np.nan)})


def test_a_name_binds_its_grid_and_one_from_before_names_did_still_loads():
    cutoff = datetime(2024, 1, 2, tzinfo=UTC)
    name = version_name("stack", cutoff, "a" * 64, "b" * 64)
    check_grid_name(name, "b" * 64)
    with pytest.raises(ArtifactCorrupt, match="another grid"):
        check_grid_name(name, "c" * 64)
    check_grid_name("stack-20240102T000000Z-" + "a" * 10, "b" * 64)
