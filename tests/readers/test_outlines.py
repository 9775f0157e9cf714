"""Boundaries and population layers of others are parsed away from the process that serves."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.readers.files.documents import outline_of
from app.regions.service import add_region
from tests.support.services.processes import peak_memory_mb

MEMORY_MB = 150.0
MIB = 1 << 20
GEOJSON = "application/geo+json"


def ring(n: int, west: float = -74.0) -> list[list[float]]:
    """A closed outline of n corners."""
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    radius_deg = 0.05 * (1 + 0.001 * np.sin(angle * n / 4))
    xy = np.column_stack(
        [west + radius_deg * np.cos(angle), 4.6 + radius_deg * np.sin(angle)]
    ).tolist()
    return [*xy, xy[0]]


def two_parts(n: int, **properties: object) -> dict[str, object]:
    features = [
        {
            "type": "Feature",
            "properties": {"name": name, **properties},
            "geometry": {"type": "Polygon", "coordinates": [ring(n, west)]},
        }
        for name, west in (("West", -74.0), ("East", -73.8))
    ]
    return {"type": "FeatureCollection", "features": features}


@pytest.fixture(scope="module")
def client(engine, settings):
    add_region(engine, "parts", timezone="America/Bogota", boundary=two_parts(50))
    app = create_app(settings, engine)
    with TestClient(app, raise_server_exceptions=False) as made:
        yield made


def request_for(boundary: object, region: str, **more: object) -> dict[str, object]:
    return {"id": region, "timezone": "America/Bogota", "boundary": boundary, **more}


NESTED = b"[" + b"[]," * (4 * MIB) + b"[]]"
DEEP = b"[" * (10 * MIB)
SMALL = b"[" + b"[]," * (MIB // 2) + b"[]]"
NUMBERS = b"[" + b"1e9," * (3 * MIB) + b"1]"
HOSTILE = [
    ("PUT", "/v1/regions/parts/population", GEOJSON, b'{"features":%s}' % NESTED),
    ("PUT", "/v1/regions/parts/population", GEOJSON, b'{"features":%s}' % NUMBERS),
    ("PUT", "/v1/regions/parts/population", GEOJSON, DEEP),
    (
        "PUT",
        "/v1/regions/parts/population",
        "text/csv",
        b"name,population\n" + b"a,1\n" * (4 * MIB),
    ),
    ("PUT", "/v1/regions/parts/population", "text/csv", b"," * (8 * MIB)),
    ("POST", "/v1/regions", "application/json", b'{"id":"x","boundary":%s}' % NESTED),
    ("POST", "/v1/regions", "application/json", b'{"id":"x","boundary":%s}' % NUMBERS),
    ("POST", "/v1/regions", "application/json", DEEP),
    ("PUT", "/v1/regions/parts/learning-policy", "application/json", NESTED),
    ("PUT", "/v1/regions/parts/learning-policy", "application/json", SMALL),
    ("PUT", "/v1/regions/parts/mappings/m", "application/json", b'{"columns":%s}' % NESTED),
    ("POST", "/v1/regions/parts/training-runs", "application/json", NUMBERS),
]
REFUSALS = [
    (422, "invalid_input"),
    (422, "invalid_input"),
    (422, "damaged"),
    (422, "limit_exceeded"),
    (422, "invalid_input"),
    (422, "limit_exceeded"),
    (422, "limit_exceeded"),
    (422, "invalid_input"),
    (413, "too_large"),
    (422, "limit_exceeded"),
    (413, "too_large"),
    (413, "too_large"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path", "kind", "body", "refusal"),
    [(*one, refusal) for one, refusal in zip(HOSTILE, REFUSALS, strict=True)],
    ids=[f"{i}" for i in range(len(HOSTILE))],
)
def test_a_hostile_document_is_refused_and_costs_the_service_little(
    client, method, path, kind, body, refusal
):
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before_mb = peak_memory_mb(os.getpid())
    reply = client.request(method, path, content=body, headers={"Content-Type": kind})
    assert (reply.status_code, reply.json()["code"]) == refusal, reply.text
    assert reply.json()["type"].startswith("urn:hotslot:")
    assert peak_memory_mb(os.getpid()) - before_mb < MEMORY_MB


@pytest.mark.slow
def test_processor_time_of_an_outline_is_bounded_and_health_is_answered(engine, settings):
    brief = settings.model_copy(update={"parser_cpu_s": 1.0, "parser_cpu_s_per_mib": 0.1})
    rng = np.random.default_rng(0)
    jagged = [[x + rng.uniform(-1e-3, 1e-3), y] for x, y in ring(60_000)]
    jagged[-1] = jagged[0]
    body = request_for({"type": "Polygon", "coordinates": [jagged]}, "jagged", cell_size_m=100)
    replies = []
    with TestClient(create_app(brief, engine)) as client:
        creating = threading.Thread(
            target=lambda: replies.append(client.post("/v1/regions", json=body))
        )
        creating.start()
        n_healthy = 0
        while creating.is_alive():
            assert client.get("/healthz").status_code == 200
            n_healthy += 1
        creating.join()
    assert (replies[0].status_code, replies[0].json()["code"]) == (413, "too_large")
    assert "simplify" in replies[0].json()["detail"]
    assert n_healthy > 10


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 20_000])
def test_an_outline_is_kept_as_before_whatever_its_size(client, n):
    boundary = two_parts(n, population=7)
    reply = client.post("/v1/regions", json=request_for(boundary, f"same{n}", name="Same"))
    assert reply.status_code == 201, reply.text
    told = client.get(f"/v1/regions/same{n}").json()
    # As numbers are written: the database's are those of JSON.
    expected = outline_of(json.loads(json.dumps(boundary)), 250.0)
    assert (told["crs"], told["name"]) == (expected.crs, "Same")
    assert told["boundary"] == reply.json()["boundary"] == expected.boundary
    assert told["neighbourhoods"] == expected.neighbourhoods


@pytest.mark.parametrize("n", [10, 20_000])
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"timezone": None}, "timezone"),
        ({"timezone": "Nowhere/Land"}, "timezone"),
        ({"cell_size_m": "wide"}, "cell_size_m"),
        ({"cell_size_m": 1}, "cell_size_m"),
        ({"colour": "red"}, "colour"),
        ({"boundary": {"type": "Point", "coordinates": [1, 2]}}, "boundary"),
        ({"boundary": "x"}, "boundary"),
        ({"id": "NO"}, "id"),
    ],
)
def test_what_is_wrong_is_named_whatever_the_size(client, n, change, field):
    boundary = {"type": "Polygon", "coordinates": [ring(n)]}
    body = {**request_for(boundary, "wrong"), **change}
    content = json.dumps(body).ljust(300_000 if n > 10 else 0)
    reply = client.post(
        "/v1/regions", content=content, headers={"Content-Type": "application/json"}
    )
    assert (reply.status_code, reply.json()["field"]) == (422, field), reply.text


def test_layers_by_csv_and_geojson_agree(client):
    csv = "name,population,young\nWest,100,40\nEast,50,5\n"
    by_csv = client.put(
        "/v1/regions/parts/population", content=csv, headers={"Content-Type": "text/csv"}
    )
    features = two_parts(50)
    for feature, people, young in zip(features["features"], (100, 50), (40, 5), strict=True):
        feature["properties"] |= {"population": people, "groups": {"young": young}}
    by_geojson = client.put(
        "/v1/regions/parts/population",
        content=json.dumps(features),
        headers={"Content-Type": GEOJSON},
    )
    assert by_csv.status_code == by_geojson.status_code == 200, (by_csv.text, by_geojson.text)
    assert by_csv.json() == by_geojson.json()
    assert by_csv.json()["neighbourhoods"][0] == {
        "name": "West",
        "population": 100.0,
        "groups": {"young": 40.0},
    }


def test_a_layer_beyond_its_limit_of_bytes_is_refused(client):
    body = b"name,population\n" + b" " * (32 * MIB)
    reply = client.put(
        "/v1/regions/parts/population", content=body, headers={"Content-Type": "text/csv"}
    )
    assert (reply.status_code, reply.json()["code"]) == (413, "too_large")
