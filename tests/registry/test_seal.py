"""M7 and X6 in short: a version's record altered anywhere is refused, and the one before it serves."""

import json
import uuid
from datetime import UTC, datetime

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.core.db.tables import model_versions
from app.main import create_app
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.version_registration import register_version
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from tests.support.simulated.champions import put_back

DENSITY = "/v1/regions/town/forecasts/density?window=3"
FORGERIES = {
    "counts": "counts = jsonb_set(counts, '{level}', to_jsonb((counts->>'level')::float8 * 100))",
    "scores": "scores = '{\"log_score\": 1.0}'",
    "report": 'report = report || \'{"model": "better"}\'',
    "provenance": 'provenance = provenance || \'{"device": "another"}\'',
    "settings": "settings = settings || '{\"seed\": 7}'",
    "categories": "categories = categories || '[\"made up\"]'",
    "gate": "gate = '{}'",
    "n_incidents": "n_incidents = n_incidents + 1",
    "data_hash": "data_hash = reverse(data_hash)",
    "cutoff": "cutoff = cutoff - interval '1 microsecond'",
    "created_at": "created_at = created_at + interval '1 microsecond'",
    "seed": "seed = seed + 1",
    "model": "model = 'stack'",
    "run_id": "run_id = NULL",
    "sealed_at": "sealed_at = sealed_at + interval '1 day'",
    "forecasts_sha256": "forecasts_sha256 = reverse(forecasts_sha256)",
    "seal": "seal = sha256(seal)",
}


@pytest.fixture
def restored(engine, versions):
    """Put the champion's record and forecasts back after a test."""
    with put_back(engine):
        yield


def alter(engine, version, change):
    with engine.begin() as connection:
        statement = text(f"UPDATE model_versions SET {change} WHERE version = :v")
        assert connection.execute(statement, {"v": version}).rowcount == 1


def refused(client, versions, *, in_memory=False):
    """Assert that the champion is refused everywhere and the one before serves and says so.

    By its name, a process may go on giving what it had read before the alteration.
    """
    old, new = versions
    reply = client.get(DENSITY)
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-hotslot-model-version"] == old
    (said,) = [w for w in reply.json()["warnings"] if w["code"] == "champion_damaged"]
    assert said["params"] == {"champion": new, "version": old}
    assert said in json.loads(reply.headers["x-hotslot-warnings"])
    named = client.get(f"{DENSITY}&model={old}")
    assert not [w for w in named.json()["warnings"] if w["code"] == "champion_damaged"], (
        "asked for by its name"
    )
    score = {
        "incidents": [{"occurred_at": "2019-03-01T10:00:00Z", "longitude": 0.0, "latitude": 0.0}]
    }
    scored = client.post("/v1/regions/town/forecasts/score", json=score).json()
    assert said in scored["warnings"]
    by_name = [] if in_memory else [f"forecasts/density?window=3&model={new}"]
    for path in (f"models/{new}", f"models/{new}/card", *by_name):
        told = client.get(f"/v1/regions/town/{path}")
        assert (told.status_code, told.json()["code"]) == (409, "artifact_corrupt"), path
    promoted = client.post(f"/v1/regions/town/models/{new}/promote")
    assert (promoted.status_code, promoted.json()["code"]) == (409, "artifact_corrupt")


@pytest.mark.slow
@pytest.mark.parametrize("column", FORGERIES)
def test_an_altered_record_is_refused_and_the_version_before_serves(
    engine, settings, versions, restored, column
):
    alter(engine, versions[1], FORGERIES[column])
    with TestClient(create_app(settings, engine)) as client:
        refused(client, versions)
        listed = client.get("/v1/regions/town/models").json()
    assert [m["version"] for m in listed["models"]] == [versions[0]]
    (said,) = listed["warnings"]
    assert (said["code"], said["params"]) == ("version_damaged", {"version": versions[1]})


def test_a_forecast_altered_with_its_own_digest_is_refused(engine, settings, versions, restored):
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE forecast_grids SET cell_values = set_byte(cell_values, 2, 9) WHERE version = :v"
            ),
            {"v": versions[1]},
        )
        connection.execute(
            text(
                "UPDATE forecast_grids SET digest = sha256(convert_to(concat_ws(':', region_key, "
                "version, category_code, \"window\", ''), 'UTF8') || cell_values) WHERE version = :v"
            ),
            {"v": versions[1]},
        )
    with TestClient(create_app(settings, engine)) as client:
        reply = client.get(DENSITY)
    assert reply.headers["x-hotslot-model-version"] == versions[0]
    assert [w for w in reply.json()["warnings"] if w["code"] == "champion_damaged"]


def test_an_alteration_while_the_version_is_loaded_is_seen(engine, settings, versions, restored):
    with TestClient(create_app(settings, engine)) as client:
        assert client.get(DENSITY).headers["x-hotslot-model-version"] == versions[1]
        alter(engine, versions[1], FORGERIES["counts"])
        client.app.state.forecasts.forget_champion("town")
        refused(client, versions, in_memory=True)


def test_every_column_of_a_version_is_covered():
    assert set(FORGERIES) | {"region_key", "version", "artifact_sha256", "grid_sha256"} == {
        c.name for c in model_versions.c
    }


def test_a_damaged_champion_is_replaced_by_the_next_training(engine, settings, versions, restored):
    alter(engine, versions[1], FORGERIES["counts"])
    with TestClient(create_app(settings, engine)) as client:
        assert client.post("/v1/regions/town/models/rollback").json()["champion"] == versions[0]
    with engine.begin() as connection:
        connection.execute(text("UPDATE champions SET version = :v"), {"v": versions[1]})
    request = TrainingRequest(model="pooled-kde", validate=False)
    run = run_now(engine, settings, "town", request, lambda _share, _message: None)
    assert run.status == "succeeded", run.message
    assert run.model_version == versions[1], "the same data and settings: the same name"
    with engine.connect() as connection:
        key = get_region(connection, "town").key
        registry.check_version(connection, registry.get_version(connection, key))


def test_numbers_are_sealed_as_the_database_gives_them_back(engine, town, versions):
    with engine.begin() as connection:
        record = registry.get_version(connection, get_region(connection, town).key, versions[0])
        odd = {"n": [1e22, -0.0, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, 2**53 + 1]}
        values = {
            name: getattr(record, name) for name in registry.NewVersion.__dataclass_fields__
        } | {"version": f"odd-{uuid.uuid4()}", "report": odd, "cutoff": datetime.now(UTC)}
        made = register_version(connection, registry.NewVersion(**values), {-1: np.ones((1, 3))})
        assert made.is_sound
        connection.rollback()
