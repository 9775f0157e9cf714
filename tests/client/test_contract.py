"""Each method of both clients sends what the OpenAPI document of the application describes."""

import asyncio
import inspect
import re
import uuid
from datetime import UTC, datetime

import geopandas as gpd
import httpx
import jsonschema
import orjson
import pandas as pd
import pytest
import shapely

from app.core.settings import Settings
from app.main import create_app
from hotslot_client import AsyncClient, Client, Unreachable

AT = datetime(2026, 1, 9, 23, tzinfo=UTC)
RANGE = {"from_": "2026-01-09", "to": "2026-01-10"}
WHO = {"category": "theft", "model": "stack", "as_of": AT}
CELLS = {"cell_size_m": 500, "grid": "h3", "resolution": 9, "bbox": (0, 0, 1, 1)}
ROWS = pd.DataFrame(
    {"occurred_at": [AT], "longitude": [0.5], "latitude": [0.5], "category": ["theft"]}
)
PLACES = gpd.GeoDataFrame({"name": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:4326")
BACKTEST = {"n_origins": 2, "seed": 1}
CALLS = {
    "regions": lambda c: c.regions(),
    "region": lambda c: c.region("town"),
    "density": lambda c: c.density("town", at=AT, window=7, **RANGE, **WHO, **CELLS),
    "hotspots": lambda c: c.hotspots(
        "town",
        at=AT,
        window=7,
        top=5,
        n_cells=3,
        area_km2=1,
        min_separation_m=9,
        **RANGE,
        **WHO,
        **CELLS,
    ),
    "priced_zones": lambda c: c.priced_zones("town", [[1, 2], [5]], at=AT, n=2, max_km2=0.5),
    "zones": lambda c: c.zones(
        "town",
        3,
        0.5,
        at=AT,
        window=7,
        compactness=0.9,
        min_separation_m=9,
        weight="harm",
        inside="beats:D11",
        within="beats",
        **RANGE,
        **WHO,
        **CELLS,
    ),
    "explain": lambda c: c.explain("town", [31, 32], at=AT, window=7, **RANGE, **WHO),
    "samples": lambda c: c.samples(
        "town", 7, at=AT, window=7, seed=1, bbox=(0, 0, 1, 1), **RANGE, **WHO
    ),
    "series": lambda c: c.series("town", at=AT, window=7, **RANGE, **WHO, **CELLS),
    "areas": lambda c: c.areas("town", PLACES, 40.0, at=AT, **WHO),
    "evaluate": lambda c: c.evaluate("town", PLACES, AT, AT, category="theft", model="maf"),
    "streets": lambda c: c.streets(
        "town", 2.5, at=AT, window=7, bbox=(0, 0, 1, 1), weight="harm", **RANGE, **WHO
    ),
    "layer": lambda c: c.layer("town", "beats"),
    "layer_areas": lambda c: c.layer_areas("town", "beats", at=AT, window=7, **RANGE, **WHO),
    "score": lambda c: c.score("town", ROWS, "stack", AT),
    "outcomes": lambda c: c.outcomes("town", top=5, bbox=(0, 0, 1, 1), **RANGE, **WHO),
    "incidents": lambda c: c.incidents(
        "town", 5, bbox=(0, 0, 1, 1), datetime="2026-01-01/..", category="theft", cursor="x"
    ),
    "incident_pages": lambda c: next(
        iter(c.incident_pages("town", 5, datetime="2026-01-01/..", category=["theft", "arson"]))
    ),
    "create_region": lambda c: c.create_region(
        "town", "America/Bogota", PLACES, name="Town", cell_size_m=300
    ),
    "record_presence": lambda c: c.record_presence("town", ROWS),
    "presence": lambda c: c.presence("town", from_=AT, to=AT, unit="car", limit=5),
    "register": lambda c: c.register("town", limit=5),
    "hour_of_week": lambda c: c.hour_of_week("town", ["theft", "arson"]),
    "upload": lambda c: c.upload("town", ROWS, "key", date_only="interval"),
    "train": lambda c: c.train("town", seed=1, until="2026-01-01T00:00Z", categories=["theft"]),
    "backtest": lambda c: c.backtest("town", ["maf", "uniform"], **BACKTEST),
    "worth": lambda c: c.worth("town", 7),
}
READ = {
    "regions": ["regions"],
    "hotspots": ["features"],
    "zones": ["features"],
    "priced_zones": ["features", "price"],
    "explain": ["parts", "sentence", "kind"],
    "samples": ["features"],
    "series": ["slots"],
    "areas": ["features"],
    "streets": ["features"],
    "layer": ["features"],
    "layer_areas": ["features"],
    "evaluate": ["periods", "total", "notes"],
    "score": ["scores"],
    "outcomes": ["features"],
    "incidents": ["features", "next"],
    "incident_pages": ["features", "next"],
    "create_region": ["id", "boundary"],
    "record_presence": ["received", "accepted"],
    "presence": ["features"],
    "register": ["entries", "record", "filed"],
    "hour_of_week": ["exact", "interval", "placeholder"],
    "train": ["id", "status"],
    "backtest": ["id", "status"],
    "worth": ["own", "typical", "by_size"],
}
"""Members of replies that the client relies on."""


@pytest.fixture(scope="module")
def document():
    return create_app(Settings()).openapi()


def sent_by(name):
    """The request that a method sends first."""
    sent = []

    def keep(request):
        sent.append(request)
        raise httpx.ReadError("enough")

    with (
        Client(retries=0, transport=httpx.MockTransport(keep)) as client,
        pytest.raises(Exception, match="enough"),
    ):
        CALLS[name](client)
    return sent[0]


def operation_of(document, request):
    """The documented operation that a request calls."""
    for path, methods in document["paths"].items():
        pattern = re.sub(r"\{\w+\}", "[^/]+", path)
        if re.fullmatch(pattern, request.url.path) and request.method.lower() in methods:
            return methods[request.method.lower()]
    raise AssertionError(f"no operation {request.method} {request.url.path}")


def properties(document, schema):
    """Names of a schema's members, through references and alternatives."""
    if "$ref" in schema:
        return properties(
            document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        )
    parts = [*schema.get("anyOf", []), *schema.get("allOf", []), *schema.get("oneOf", [])]
    return {
        *schema.get("properties", {}),
        *(n for part in parts for n in properties(document, part)),
    }


def test_every_method_is_checked():
    public = {n for n, _ in inspect.getmembers(Client, inspect.isfunction) if not n.startswith("_")}
    assert set(CALLS) == public - {"carry_out", "close", "pages", "request"}


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"incident_pages"}))
def test_the_clients_send_the_same(name, monkeypatch):
    monkeypatch.setattr("uuid.uuid4", lambda: uuid.UUID(int=7))
    sent = []

    async def keep(request):
        sent.append(request)
        raise httpx.ReadTimeout("enough")

    async def asked():
        async with AsyncClient(retries=0, transport=httpx.MockTransport(keep)) as client:
            with pytest.raises(Unreachable, match="enough"):
                await CALLS[name](client)

    asyncio.run(asked())
    (of_async,), of_sync = sent, sent_by(name)
    assert (of_async.method, of_async.url) == (of_sync.method, of_sync.url)
    assert of_async.content == of_sync.content


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_method_sends_what_is_documented(document, name):
    request = sent_by(name)
    operation = operation_of(document, request)
    parameters = {(p["in"], p["name"]) for p in operation.get("parameters", [])}
    assert {("query", key) for key in request.url.params} <= parameters
    if "idempotency-key" in request.headers:
        assert ("header", "idempotency-key") in {(place, key.lower()) for place, key in parameters}
    if not request.content:
        return
    body = operation["requestBody"]["content"][request.headers["Content-Type"]]["schema"]
    if request.headers["Content-Type"] == "application/json":
        content = orjson.loads(request.content)
        assert set(content) <= properties(document, body)
        rooted = {**body, "components": document["components"]}
        jsonschema.Draft202012Validator(rooted).validate(content)


@pytest.mark.parametrize("name", sorted(READ))
def test_replies_have_what_a_method_reads(document, name):
    responses = operation_of(document, sent_by(name))["responses"]
    good = ("200", "201", "202")
    content = next(responses[code]["content"] for code in good if code in responses)
    kind = next(t for t in ("application/json", "application/geo+json") if t in content)
    assert set(READ[name]) <= properties(document, content[kind]["schema"])
