"""P1 and P2: samples are nobody's place, and a model that remembers places may not draw any."""

import json

import numpy as np
import orjson
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.core.errors import PermissionRefused
from app.fitting.data import load_training_data
from app.fitting.sample_privacy import check_samples_allowed, memorisation_report
from app.main import create_app
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.integrity import seal_version
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from models.base import FitContext
from models.catalog import create_model
from models.evaluation.memorisation import judge

NEAR = 25.0


@pytest.fixture(scope="module")
def trained(engine, settings, town):
    request = TrainingRequest(model="pooled-kde", validate=False)
    run = run_now(engine, settings, town, request, lambda _s, _m: None)
    assert run.status == "succeeded", run.message
    return run


@pytest.mark.slow
def test_ten_thousand_samples_hit_no_incident(engine, settings, town, trained):
    with TestClient(create_app(settings, engine)) as client:
        reply = client.get(
            f"/v1/regions/{town}/forecasts/samples", params={"window": 20, "n": 10_000, "seed": 4}
        )
    assert reply.status_code == 200
    found = np.array(
        [f["geometry"]["coordinates"] for f in orjson.loads(reply.content)["features"]]
    )
    assert found.shape == (10_000, 2)
    with engine.connect() as connection:
        key = get_region(connection, town).key
        places = np.array(
            connection.execute(
                text("SELECT longitude, latitude FROM incidents WHERE region_key = :k"), {"k": key}
            ).all()
        )
    assert not {tuple(p) for p in places.tolist()} & {tuple(p) for p in found.tolist()}
    # half-way between two places of six decimals, wherever incidents are
    digits = np.round(found * 1e7).astype(np.int64) % 10
    assert set(np.unique(digits).tolist()) == {5}


@pytest.mark.slow
def test_samples_do_not_go_round_the_incidents(engine, settings, town, trained):
    """Who fills a small box would see where no sample ever lies: it must not depend on incidents."""
    ask = {"window": 20, "n": 500, "seed": 4}
    with TestClient(create_app(settings, engine)) as client:
        path = f"/v1/regions/{town}/forecasts/samples"
        before = client.get(path, params=ask).json()["features"]
        places = [f["geometry"]["coordinates"] for f in before[:50]]
        rows = [{"occurred_at": "2024-01-05T12:00", "category": "theft"} for _ in places]
        for row, (longitude, latitude) in zip(rows, places, strict=True):
            row.update(longitude=round(longitude, 6), latitude=round(latitude, 6))
        assert client.post(f"/v1/regions/{town}/incidents", json=rows).json()["accepted"] == 50
    with TestClient(create_app(settings, engine)) as client:
        assert client.get(path, params=ask).json()["features"] == before
        tiny = [*places[0], *(v + 2e-6 for v in places[0])]
        refused = client.get(path, params={**ask, "n": 10_000, "bbox": ",".join(map(str, tiny))})
        assert refused.status_code == 422


def test_the_version_tells_its_memorisation_test(engine, town, trained):
    with engine.connect() as connection:
        version = registry.get_version(connection, get_region(connection, town).key)
    told = version.report["memorisation"]["all"]
    assert told["verdict"] == "passed"
    assert told["hi"] <= 1.5
    assert told["n_held_out"] > 100


def test_a_model_that_repeats_its_data_is_found_out(engine, town):
    with engine.connect() as connection:
        key = get_region(connection, town).key
    data = load_training_data(engine, key)
    model = create_model("pooled-kde").fit(data.incidents, data.grid, FitContext(data.cutoff_s))
    assert memorisation_report(data, model, 0)["all"]["verdict"] == "passed"
    rng = np.random.default_rng(0)
    places = np.column_stack([data.incidents.x_m, data.incidents.y_m]).astype(float)
    order = rng.permutation(len(places))
    known, new = places[order[:1500]], places[order[1500:]]
    copied = known[rng.integers(0, len(known), 5_000)] + rng.normal(0, 3, (5_000, 2))
    found = judge(copied, known, new, np.arange(len(new)) // 20)
    assert (found.verdict, found.sample_share) == ("failed", pytest.approx(1.0, abs=0.01))
    fresh = judge(new[:1000], known, new[1000:], np.arange(len(new) - 1000) // 20)
    assert fresh.verdict == "passed"
    few = judge(copied[:3], known, new[:3] + 5_000.0, np.arange(3))
    assert few.ratio is None


def test_samples_of_a_betraying_version_are_withheld(engine, settings, town, trained):
    bad = {"verdict": "failed", "ratio": 3.2, "lo": 2.8}
    with pytest.raises(PermissionRefused) as caught:
        check_samples_allowed({"memorisation": {"all": bad}}, None)
    assert caught.value.code == "samples_withheld"
    check_samples_allowed({"memorisation": {"theft": bad}}, None)
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE model_versions SET report = jsonb_set(report, '{memorisation,all}', :bad)"
            ),
            {"bad": json.dumps(bad)},
        )
        key = get_region(connection, town).key
        for version in registry.list_versions(connection, key):
            seal_version(connection, key, version.version)
    with TestClient(create_app(settings, engine)) as client:
        base = f"/v1/regions/{town}/forecasts"
        for seed in ({}, {"seed": 3}):
            reply = client.get(f"{base}/samples", params={"window": 3, **seed})
            assert reply.status_code == 403
            assert reply.json()["code"] == "samples_withheld"
            assert "3.2 times" in reply.json()["detail"]
        assert client.get(f"{base}/density", params={"window": 3}).status_code == 200
        refused = client.get(f"{base}/density", params={"window": 3, "cell_size_m": 99})
        assert refused.status_code == 422
