"""Every JSON body is held to limits field by field, and every column of the database to a size."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import inspect, text

from app.audit import store as audit
from app.geo.boundaries import SIDES_AT_ONCE
from app.regions.store import get_region
from tests.support.simulated.incident_rows import row

LONG, MANY, HUGE = "X" * 300_000, 100_000, 10**400
MAX_REPLY = 20_000
MAX_STORED = 20_000
FREE = {
    "artifacts.content", "grids.cell_id", "grids.area_km2", "forecast_grids.cell_values",
    "forecast_grids.digest", "forecast_states.fields", "forecast_states.digest",
    "street_layers.content", "street_shares.content",
    "secrets.name", "secrets.value", "model_versions.seal", "erased_keys.digest", "worker_processes.takes",
}  # fmt: skip
"""Made by hotslot itself, as large as its cells or streets ask."""
OWN_TABLES = ("register_entries.", "register_scores.", "register_periods.", "backtest_")
"""Nobody else writes a text into these."""
GEOJSON = {"boundary", "areas"}


@pytest.fixture(scope="module")
def document(client) -> dict[str, Any]:
    return client.get("/openapi.json").json()


@pytest.fixture(scope="module")
def region(client) -> str:
    told = client.post("/v1/regions", json={"id": "walls", "timezone": "UTC"})
    assert told.status_code == 201
    return "/v1/regions/walls"


def resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def bodies(document: dict[str, Any]):
    """(method, path, schema) of each call that takes a JSON object."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            content = operation.get("requestBody", {}).get("content", {})
            schema = resolved(content.get("application/json", {}).get("schema", {}), document)
            if "properties" in schema:
                yield method.upper(), path, schema


def too_large(schema: dict[str, Any], document: dict[str, Any]):
    """Values of a field's own kind that are larger than anyone needs."""
    schema = resolved(schema, document)
    for choice in schema.get("anyOf", [schema]):
        kind = resolved(choice, document).get("type")
        if kind == "string":
            yield LONG
        elif kind in ("integer", "number"):
            yield HUGE
            yield -HUGE
        elif kind == "array":
            yield ["theft"] * MANY
            yield [LONG]
        elif kind == "object":
            yield {LONG: "x"}
            yield {"category": LONG}
            yield {str(i): "x" for i in range(MANY)}


def example_of(schema: dict[str, Any]) -> dict[str, Any]:
    return dict((schema.get("examples") or [{}])[0])


def test_each_field_of_each_body_has_a_limit(client, document, region, engine):
    asked = 0
    for method, path, schema in bodies(document):
        place = path.replace("{region}", "walls").replace("{name}", "m").replace("{key_id}", "k")
        tried = [(n, v) for n, s in schema["properties"].items() for v in too_large(s, document)]
        for name, value in [*tried, (LONG, 1)]:
            body = json.dumps({**example_of(schema), name: value})
            told = client.request(
                method, place, content=body, headers={"Content-Type": "application/json"}
            )
            where = (method, path, name[:40], str(value)[:40], told.text[:200])
            # Neither forecasts nor evaluations store anything; here is no model and no key to rotate.
            unready = "/forecasts/" in path or path.endswith("/evaluations")
            instead = {409} if unready else {404} if "{key_id}" in path else set()
            assert told.status_code in {422} | instead, where
            assert len(told.content) < MAX_REPLY, where
            asked += 1
    assert asked > 50
    with engine.connect() as connection:
        assert largest(connection) < MAX_STORED


def largest(connection) -> int:
    """Bytes of the largest text or JSON value of any table."""
    found = 0
    for table in inspect(connection).get_table_names():
        if table.startswith("procrastinate"):
            continue
        for column in inspect(connection).get_columns(table):
            if str(column["type"]) in ("TEXT", "JSONB"):
                size = text(f'SELECT max(octet_length("{column["name"]}"::text)) FROM "{table}"')
                found = max(found, connection.scalar(size) or 0)
    return found


def test_each_column_of_the_database_has_a_limit(engine):
    """Also what no request reaches today: a new column needs a bound of its own."""
    with engine.connect() as connection:
        checks = "\n".join(
            connection.scalars(
                text(
                    "SELECT conrelid::regclass || ': ' || pg_get_constraintdef(oid)"
                    " FROM pg_constraint WHERE contype = 'c'"
                )
            )
        ).splitlines()
        found = inspect(connection)
        free = set()
        for table in found.get_table_names():
            if table.startswith("procrastinate") or table == "alembic_version":
                continue
            for column in found.get_columns(table):
                name = column["name"]
                sizes = ("char_length", "octet_length", "pg_column_size")
                bound = [f"{size}({name})" for size in sizes]
                held = any(c.startswith(f"{table}:") and any(b in c for b in bound) for c in checks)
                if str(column["type"]) in ("TEXT", "JSONB", "BYTEA") and not held:
                    free.add(f"{table}.{name}")
    assert {name for name in free if not name.startswith(OWN_TABLES)} <= FREE


def test_an_audit_entry_is_short_whatever_it_tells(client, engine, region):
    asked = {"category": "x" * 60_000}
    assert client.get(f"{region}/incidents", params=asked).status_code == 422
    with engine.begin() as connection:
        told = audit.record(
            connection,
            "export",
            chain="walls",
            asked={"category": "ü" * 60_000},
            many=[{"n": "y" * 4_000}] * 4_000,
        )
    assert len(told.details) <= audit.MAX_DETAILS_CHARS
    assert "and 3990 more" in told.details
    assert len(client.get("/v1/audit?limit=10").content) < 100_000


def test_mappings_are_few_and_short_and_can_be_removed(client, engine, region):
    mine = f"{region}/mappings"
    for n in range(20):
        put = client.put(f"{mine}/m{n}", json={"columns": {"category": "OFFENSE"}})
        assert put.status_code == 200, put.text
    full = client.put(f"{mine}/another", json={"columns": {"category": "OFFENSE"}})
    assert (full.status_code, full.json()["limit"]) == (422, 20)
    long = client.put(f"{mine}/m1", json={"columns": {"category": "X" * 201}})
    assert (long.status_code, long.json()["limit"]) == (422, 200)
    assert client.delete(f"{mine}/m3").status_code == 204
    assert client.delete(f"{mine}/m3").status_code == 404
    assert client.put(f"{mine}/another", json={"columns": {}}).status_code == 200
    names = client.get(mine).json()["mappings"]
    assert "m3" not in names
    assert len(names) == 20
    with engine.connect() as connection:
        # Who asks for the policy is not given the mappings to read.
        assert "mappings" not in get_region(connection, "walls").settings


def test_policy_and_population_can_be_removed(client, engine):
    square = [[[0, 0], [0.01, 0], [0.01, 0.01], [0, 0.01], [0, 0]]]
    features = [
        {
            "type": "Feature",
            "properties": {"name": name, "population": 5, "groups": {"a": 1}, "note": LONG},
            "geometry": {"type": "Polygon", "coordinates": square, "note": LONG},
        }
        for name in ("west", "east")
    ]
    layer = {"type": "FeatureCollection", "features": features}
    made = client.post("/v1/regions", json={"id": "peopled", "timezone": "UTC", "boundary": layer})
    assert made.status_code == 201, made.text
    path = "/v1/regions/peopled"
    geojson = {"Content-Type": "application/geo+json"}
    put = client.put(f"{path}/population", content=json.dumps(layer), headers=geojson)
    assert put.status_code == 200, put.text
    with engine.connect() as connection:
        assert largest(connection) < MAX_STORED
    assert client.delete(f"{path}/population").status_code == 204
    assert client.delete(f"{path}/population").status_code == 404
    kept = client.get(path).json()["neighbourhoods"]["features"]
    assert [f["properties"] for f in kept] == [{"name": "west"}, {"name": "east"}]
    assert client.put(f"{path}/learning-policy", json={"minimum_count": 7}).status_code == 200
    assert client.delete(f"{path}/learning-policy").status_code == 204
    assert client.get(f"{path}/learning-policy").json()["minimum_count"] == 0


@pytest.mark.parametrize("n", [40_000, 3_000])
def test_counting_stops_where_neighbourhoods_laid_over_each_other_pass_the_limit(client, n):
    def part(i: int) -> dict:
        x = i % 200 * 0.0001
        ring = [[x, 0], [x + 0.5, 0], [x + 0.5, 0.5], [x, 0.5], [x, 0]]
        return {
            "type": "Feature",
            "properties": {"name": f"n{i}"},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }

    body = {
        "id": f"heap{n}",
        "timezone": "UTC",
        "boundary": {"type": "FeatureCollection", "features": [part(i) for i in range(n)]},
    }
    told = client.post("/v1/regions", json=body)
    assert (told.status_code, told.json()["code"]) == (422, "limit_exceeded"), told.text[:300]
    limit, asked = told.json()["limit"], told.json()["asked"]
    assert limit < asked <= limit + SIDES_AT_ONCE * 4 * n


@pytest.mark.parametrize(
    "boundary",
    [
        {"type": "FeatureCollection", "features": ["x"]},
        {"type": "FeatureCollection", "features": {"a": 1}},
        {"type": "Feature", "geometry": "x"},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": 3}]},
    ],
)
def test_what_is_no_geojson_is_said_to_be_none(client, boundary):
    told = client.post("/v1/regions", json={"id": "odd", "timezone": "UTC", "boundary": boundary})
    assert told.status_code == 422, told.text


def test_numbers_that_no_column_holds_are_called_that(client, region):
    assert client.delete(f"{region}/uploads/{2**70}").status_code == 422
    assert client.get(f"{region}/incidents?limit={2**70}").status_code == 422


def test_a_long_value_is_repeated_in_part(client, region, send):
    for path in (f"/v1/regions/{'r' * 5000}", f"{region}/models/{'v' * 5000}"):
        told = client.get(path)
        assert told.status_code == 404
        assert len(told.content) < 1_000
    assert send(region, [row(1, "y" * 3000)])["rejected"] == 1
