"""The HTTP contract on a trained region, through the real application and database."""

import json
import math

import pytest
import shapely
from fastapi.testclient import TestClient

from app.main import create_app
from app.training.service import TrainingRequest
from app.worker.jobs import run_now

BASE = "/v1/regions/town/forecasts"


@pytest.fixture(scope="module")
def client(engine, settings, town):
    run = run_now(engine, settings, town, TrainingRequest("multi-kde", seed=1), lambda *_: None)
    assert run.status == "succeeded", run.message
    with TestClient(create_app(settings, engine)) as opened:
        yield opened


@pytest.mark.parametrize("window", [0, 26, 167])
def test_density_sums_to_one_and_ids_follow_the_grid(client, window):
    reply = client.get(f"{BASE}/density", params={"window": window})
    body = reply.json()
    cells, grid = body["cells"], body["grid"]
    assert reply.headers["X-Hotslot-Model-Version"] == body["model_version"]
    assert abs(sum(cells["probability"]) - 1) < 1e-6
    assert len({len(column) for column in cells.values()}) == 1
    assert max(cells["id"]) < grid["nx"] * grid["ny"]
    total = math.fsum(cells["expected_count"])
    assert total == pytest.approx(body["expected_total"], rel=1e-4)


@pytest.mark.parametrize("top", [0.01, 1, 5, 100])
def test_top_k_returns_exactly_that_many_cells(client, top):
    n = len(client.get(f"{BASE}/density?window=5").json()["cells"]["id"])
    body = client.get(f"{BASE}/hotspots", params={"window": 5, "top": top}).json()
    assert len(body["features"]) == max(1, math.floor(top * n / 100))
    probabilities = [f["properties"]["probability"] for f in body["features"]]
    assert probabilities == sorted(probabilities, reverse=True)


def test_samples_lie_inside_and_repeat_with_their_seed(client):
    url = f"{BASE}/samples?at=2019-12-31T23:00&n=500&seed=4"
    first, second = client.get(url), client.get(url)
    assert first.content == second.content
    boundary = shapely.geometry.shape(client.get("/v1/regions/town").json()["boundary"])
    points = [f["geometry"]["coordinates"] for f in first.json()["features"]]
    assert len(points) == 500
    assert shapely.contains_xy(boundary.buffer(1e-6), *zip(*points, strict=True)).all()


@pytest.mark.parametrize("size_m", [100, 250, 1000])
def test_other_cell_sizes_keep_the_mass(client, size_m):
    body = client.get(f"{BASE}/density?window=3&cell_size_m={size_m}").json()
    assert abs(sum(body["cells"]["probability"]) - 1) < 1e-6


def test_an_unchanged_forecast_answers_304(client):
    url = f"{BASE}/density?at=2019-12-31T23:00"
    etag = client.get(url).headers["ETag"]
    assert client.get(url, headers={"If-None-Match": etag}).status_code == 304


def test_score_names_the_cell(client):
    incident = {"occurred_at": "2019-12-31T23:10:00Z", "longitude": -74.06, "latitude": 4.66}
    far = {**incident, "longitude": 0.0, "latitude": 0.5}
    scores = client.post(f"{BASE}/score", json={"incidents": [incident, far]}).json()["scores"]
    assert math.isfinite(scores[0]["log_density_per_km2"])
    assert 0 <= scores[0]["percentile"] <= 100
    assert scores[1]["cell"] is None


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("GET", "/v1/regions/nowhere", 404),
        ("GET", f"{BASE}/density", 422),
        ("GET", f"{BASE}/density?window=168", 422),
        ("GET", f"{BASE}/density?window=1&at=2020-01-01T00:00Z", 422),
        ("GET", f"{BASE}/density?window=1&cell_size_m=1", 422),
        ("GET", f"{BASE}/density?window=1&category=%00", 404),
        ("GET", f"{BASE}/hotspots?window=1&top=NaN", 422),
        ("GET", f"{BASE}/samples?window=1&n=1000000000", 422),
        ("GET", "/v1/regions/%00", 422),
        ("GET", "/nothing", 404),
        ("PUT", "/v1/regions", 405),
    ],
)
def test_errors_are_problems(client, method, url, status):
    reply = client.request(method, url)
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert {"title", "status", "detail", "code"} <= set(reply.json())


@pytest.mark.parametrize(
    ("value", "refused_as"),
    [
        ("NaN", "bad_json"),
        ("Infinity", "bad_json"),
        ("1e999", "epoch_not_accepted"),
        ("9" * 400, "epoch_not_accepted"),
        ('"\\ud800"', "bad_text"),
        ('"\\u0000"', "bad_time"),
        ("null", "missing"),
        ("{}", "bad_time"),
    ],
)
def test_strange_json_is_refused_not_fatal(client, value, refused_as):
    body = f'{{"id":"x","timezone":"UTC","cell_size_m":{value}}}'
    reply = client.post("/v1/regions", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 422
    upload = f'[{{"occurred_at":{value},"longitude":{value},"latitude":1,"category":"a"}}]'
    reply = client.post(
        "/v1/regions/town/incidents",
        content=upload,
        headers={"Content-Type": "application/json"},
    )
    told = reply.json()
    if refused_as in ("bad_json", "bad_text"):
        assert (reply.status_code, told["code"]) == (422, refused_as)
    else:
        assert (reply.status_code, told["accepted"], told["rejected"]) == (200, 0, 1)
        assert told["errors"][0]["code"] == refused_as


def test_uploads_and_pages(client):
    body = json.dumps(
        [
            {
                "occurred_at": "2019-06-01T10:00:00",
                "longitude": -74.06,
                "latitude": 4.66,
                "category": "=theft",
            }
        ]
    )
    headers = {"Content-Type": "application/json"}
    first = client.post("/v1/regions/town/incidents", content=body, headers=headers).json()
    assert (first["received"], first["accepted"]) == (1, 1)
    url = "/v1/regions/town/incidents?category=%3Dtheft"
    assert len(client.get(url).json()["features"]) == 1
    assert "'=theft" in client.get(f"{url}&f=csv").text
    page = client.get("/v1/regions/town/incidents?limit=10").json()
    following = client.get(page["next"]).json()
    ids = [f["id"] for f in page["features"] + following["features"]]
    assert len(set(ids)) == 20


def test_training_runs_are_queued_shown_and_cancelled(client):
    started = client.post("/v1/regions/town/training-runs", json={"model": "uniform"})
    assert started.status_code == 202
    run = client.get(started.headers["Location"]).json()
    assert run["status"] == "queued"
    assert client.delete(started.headers["Location"]).json()["status"] == "cancelled"
    assert client.delete(started.headers["Location"]).status_code == 409
    assert client.post("/v1/regions/town/training-runs", json={"model": "x"}).status_code == 422


@pytest.mark.parametrize("url", ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/"])
def test_the_system_answers(client, url):
    assert client.get(url).status_code == 200
