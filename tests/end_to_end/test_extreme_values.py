"""Every value that a route takes, at its extremes: served or refused with a reason, never a fault."""

import copy
import json
from collections import Counter

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.training.service import TrainingRequest
from app.worker.jobs import run_now

BASE = "/v1/regions/town"
POINT = {"type": "Point", "coordinates": [-74.06, 4.66]}
SQUARE = [[-74.06, 4.66], [-74.05, 4.66], [-74.05, 4.67], [-74.06, 4.66]]
AT = {"at": "2019-12-31T23:00"}
FIRST, LAST = "0001-01-01T00:00:00", "9999-12-31T23:59:59"
TEXTS = [
    *("", "0", "-1", "1e308", "NaN", "Infinity", "1" + "0" * 400, "9223372036854775808", "32768"),
    *(f"{FIRST}+23:59", f"{LAST}-23:59", f"{LAST}Z", "2019-02-30", f"{FIRST}/{LAST}"),
    *(f"{FIRST}+23:59/..", "nan,nan,nan,nan", "x" * 5000, "a\x00b", "\x1b[31m", "\u202e"),
    *("\r\nX-A: b", "{}", "null"),
]  # fmt: skip
RAW = ["%ff", "%ed%a0%80", "%00", "%2e%2e"]
LITERALS = ["NaN", "-Infinity", "1e999"]
VALUES = [
    *("", "NaN", f"{FIRST}+23:59", f"{LAST}-23:59", "x" * 5000, "a\x00b", "\ud800", None, True),
    *(0, -1, 0.1, 1e308, 2**64, 10**400, [], {}, [[]], [None], {"a": {}}),
]  # fmt: skip
BODIES = {
    ("POST", "/v1/regions"): {
        "id": "other", "name": "Other", "timezone": "UTC", "cell_size_m": 500.0,
        "boundary": {"type": "Polygon", "coordinates": [SQUARE]},
    },
    ("POST", "/v1/regions?parts"): {
        "id": "parts", "timezone": "UTC", "boundary": {"type": "FeatureCollection", "features": [
            {"type": "Feature", "properties": {"name": "a", "population": 5},
             "geometry": {"type": "MultiPolygon", "coordinates": [[SQUARE]]}},
            {"type": "Feature", "properties": {"name": "b"},
             "geometry": {"type": "Polygon", "coordinates": [SQUARE]}}]},
    },
    ("POST", "/v1/regions?bare"): {"id": "bare", "timezone": "UTC", "cell_size_m": 500.0},
    ("POST", f"{BASE}/incidents"): {"incidents": [
        {"occurred_at": "2019-12-31T23:10:00Z", "longitude": -74.06, "latitude": 4.66,
         "category": "c", "external_id": "e"}]},
    ("PUT", f"{BASE}/population"): {"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {"name": n, "population": 5, "groups": {"g": 2}},
         "geometry": {"type": "Polygon", "coordinates": [SQUARE]}} for n in "ab"]},
    ("PUT", f"{BASE}/schedule"): {"model": "uniform", "cron": "15 3 * * MON", "new_incidents": 5,
                                  "new_share": 0.5, "on_drift": True},
    ("PUT", f"{BASE}/learning-policy"): {"patrol_categories": "exclude", "discovered_weight": 0.5,
                                         "minimum_count": 0},
    ("PUT", f"{BASE}/mappings/m"): {"columns": {"category": "c"}, "crs": "EPSG:26910",
                                    "time_format": "%Y"},
    ("POST", f"{BASE}/training-runs"): {"model": "uniform", "categories": None, "until": None,
                                        "seed": 1, "validate": False},
    ("POST", f"{BASE}/backtests"): {"models": ["uniform"], "origins": ["2019-12-01T00:00Z"],
                                    "horizon_days": 2, "cell_size_m": 500.0, "seed": 1,
                                    "n_seeds": 1},
    ("POST", f"{BASE}/sync-runs"): {"source": "s"},
    ("POST", f"{BASE}/subscriptions"): {
        "name": "s", "occasion": "shift", "target": "folder", "address": "desk", "at_hour": 6,
        "shifts": ["late"], "lead_minutes": 30, "n": 3, "max_km2": 0.5, "lang": "en", "paper": "a4",
        "formats": ["pdf"],
    },
    ("POST", f"{BASE}/subscriptions/m/rotate"): {"grace_hours": 1.0},
    ("POST", "/v1/keys"): {"name": "k", "roles": ["reader"], "regions": ["town"],
                           "expires_days": 1.0, "rate_per_s": 1.0},
    ("POST", "/v1/keys/none/rotate"): {"grace_hours": 1.0},
    ("POST", f"{BASE}/forecasts/areas"): {
        "areas": {"type": "FeatureCollection", "features": [
            {"type": "Feature", "properties": {"name": "a"}, "geometry": POINT}]},
        "buffer_m": 50.0, "at": "2019-12-31T23:00", "category": None, "model": None, "as_of": None,
    },
    ("POST", f"{BASE}/forecasts/score"): {
        "incidents": [{"occurred_at": "2019-12-31T23:10:00Z", "longitude": -74.06,
                       "latitude": 4.66, "category": None}], "model": None, "as_of": None,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def client(engine, settings, town):
    run = run_now(
        engine, settings, town, TrainingRequest("pooled-kde", validate=False), lambda *_: None
    )
    assert run.status == "succeeded", run.message
    free = settings.model_copy(update={"rate_limit_per_s": 0.0})
    with TestClient(create_app(free, engine), raise_server_exceptions=False) as opened:
        yield opened


def check(reply, what, faults):
    if reply.status_code >= 500 or (reply.status_code >= 400 and not reply.json()["detail"]):
        faults.append((*what, reply.status_code))


def operations(client):
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation.get("parameters", [])


def place(path, **values):
    known = {"region": "town", "version": "none", "run_id": "none", "name": "m", "key_id": "none",
             "external_id": "none", "delivery_id": "none", "upload": "1", "z": "10", "x": "301",
             "y": "498"}  # fmt: skip
    for name, value in (known | values).items():
        path = path.replace("{" + name + "}", value)
    return path


def values_for(name, times):
    """All values where a parameter's name is met first; elsewhere a sixth, each time another one."""
    times[name] += 1
    values = [*((text, None) for text in TEXTS), *((None, raw) for raw in RAW)]
    return values if times[name] == 1 else values[times[name] % 6 :: 6]


def test_query_parameters_at_their_extremes(client):
    faults, times = [], Counter()
    for method, path, parameters in operations(client):
        if method != "GET" and "/incidents" not in path and "/population" not in path:
            continue
        for name in (p["name"] for p in parameters if p["in"] == "query"):
            timed = "forecasts" in path or "tiles" in path
            base = AT if timed and name not in ("at", "window", "from", "to") else {}
            if name in ("from", "to"):
                base = {"from": "2019-12-31T00:00", "to": "2019-12-31T05:00"}
            for value, raw in values_for(name, times):
                if raw is not None:
                    reply = client.request(method, f"{place(path)}?{name}={raw}")
                else:
                    reply = client.request(
                        method, place(path), params={**base, name: value}, content=b"a\n1\n",
                        headers={"content-type": "text/csv"},
                    )  # fmt: skip
                check(reply, (method, path, name, (raw or value)[:40]), faults)
    assert faults == []


def test_paths_at_their_extremes(client):
    faults = []
    for method, path, parameters in operations(client):
        for name in (p["name"] for p in parameters if p["in"] == "path"):
            for value in [*RAW, "0", "-1", "1" + "0" * 400, "9223372036854775808", "x" * 5000]:
                reply = client.request(method, place(path, **{name: value}))
                check(reply, (method, path, name, value[:40]), faults)
    assert faults == []


DOCUMENTS = {("POST", "/v1/regions?parts"), ("PUT", f"{BASE}/population")}
"""Bodies that a process of its own parses, which starts anew for each."""
STORED = {"name", "population", "g"}
"""What a document's process hands on as it is, beside coordinates."""


def values_at(operation, way, position):
    """All values; a sixth of them, another one at each place, where a document's process judges them."""
    if operation not in DOCUMENTS or (way and (way[-1] in STORED or way[-4:] == (0,) * 4)):
        return VALUES
    return VALUES[position % 6 :: 6]


def leaves(value, way=()):
    yield way
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*way, name))
    elif isinstance(value, list):
        for position, inner in enumerate(value[:1]):  # the others are read as the first is
            yield from leaves(inner, (*way, position))


def with_leaf(body, way, value):
    if not way:
        return value
    changed = copy.deepcopy(body)
    inner = changed
    for step in way[:-1]:
        inner = inner[step]
    inner[way[-1]] = value
    return changed


@pytest.mark.parametrize("operation", BODIES, ids=lambda o: f"{o[0]} {o[1]}")
def test_bodies_at_their_extremes(client, operation):
    method, path = operation[0], operation[1].partition("?")[0]
    body, faults = BODIES[operation], []
    for position, way in enumerate(leaves(body)):
        values = values_at(operation, way, position)
        texts = [json.dumps(with_leaf(body, way, value)) for value in values]
        marked = json.dumps(with_leaf(body, way, "MARK"))
        if values is VALUES:
            texts += [marked.replace('"MARK"', literal) for literal in LITERALS]
        for text in texts:
            reply = client.request(
                method, path, content=text, headers={"content-type": "application/json"}
            )
            check(reply, (method, path, way, text[:400]), faults)
        # What was stored can be read.
        for stored in ("/v1/regions", "/v1/regions/other", "/v1/regions/parts", path):
            check(client.get(stored), ("GET", stored, way), faults)
    assert faults == []
