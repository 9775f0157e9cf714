"""OGC API - Features: what the API forecasts, filtered, paged and projected, never chosen anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import orjson
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from sqlalchemy import text

from app.forecasts.rendering.tiles import STEP
from app.ogc.crs import references
from app.regions.service import add_region
from tests.ogc.conftest import AT

KINDS = ("hotspots", "zones", "streets", "neighbourhoods", "density")
LABELS = {"region", "model", "model_version", "state", "data_until", "from", "to", "utc_offset"}
OWN = "http://www.opengis.net/def/crs/EPSG/0/32618"
LATITUDE_FIRST = "http://www.opengis.net/def/crs/EPSG/0/4326"


def items(client, kind, **query):
    query = {"datetime": AT, **{k.replace("_", "-"): v for k, v in query.items()}}
    return client.get(f"/ogc/collections/town.{kind}/items", params=query)


def shapes_of(page):
    return shapely.from_geojson([orjson.dumps(f["geometry"]) for f in page["features"]])


def linked(page, rel):
    return next((link["href"] for link in page["links"] if link["rel"] == rel), None)


@pytest.mark.slow
def test_every_link_leads_to_what_it_says(ogc):
    """From the landing page to all collections, items, styles and tiles."""
    seen, ahead = {}, ["/ogc"]
    while ahead:
        address = ahead.pop()
        reply = ogc.get(address)
        assert reply.status_code == 200, address
        seen[address] = reply.headers["content-type"]
        if "json" not in seen[address] or address.endswith("openapi.json") or "/items" in address:
            continue
        body = reply.json()
        for part in (body, *body.get("collections", []), *body.get("tilesets", [])):
            links = [one for one in part.get("links", []) if not one.get("templated")]
            ahead += [one["href"] for one in links if one["href"] not in seen]
    names = {address.partition("testserver")[2].partition("?")[0] for address in seen}
    assert {f"/ogc/collections/town.{kind}/items" for kind in (*KINDS, "incidents")} <= names
    assert {"/docs", "/openapi.json", "/ogc/conformance", "/ogc/tileMatrixSets"} <= names


def test_hours_and_area_are_said_with_their_step(ogc, served):
    landing = ogc.get("/ogc").json()["extent"]
    assert landing["temporal"]["grid"] == {"resolution": STEP} == {"resolution": "PT1H"}
    found = {c["id"]: c for c in ogc.get("/ogc/collections").json()["collections"]}
    assert set(found) == {f"town.{kind}" for kind in (*KINDS, "incidents")}
    for kind in KINDS:
        extent = ogc.get(f"/ogc/collections/town.{kind}").json()["extent"]
        start, end = extent["temporal"]["interval"][0]
        assert (datetime.fromisoformat(start), end) == (datetime(2019, 12, 25, tzinfo=UTC), None)
        assert extent["temporal"]["grid"] == {"resolution": "PT1H"}
        assert extent["spatial"]["bbox"] == landing["spatial"]["bbox"]
    tilejson = ogc.get("/v1/regions/town/tiles/tilejson.json").json()
    assert tilejson["hotslot"]["temporal"] == {
        name: extent["temporal"][name] for name in ("interval", "grid")
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_of_the_api(ogc, kind):
    path, name = f"/v1/regions/town/forecasts/{kind}", {"at": AT}
    if kind == "neighbourhoods":
        path, name = "/v1/regions/town/forecasts/areas", {"at": AT, "layer": kind}
    theirs = ogc.get(path, params={**name, "f": "geojson"}).json()["features"]
    ours = items(ogc, kind).json()
    assert ours["numberMatched"] == ours["numberReturned"] == len(theirs) > 0
    for mine, other in zip(ours["features"], theirs, strict=True):
        assert mine["geometry"] == other["geometry"]
        assert other["properties"].items() <= mine["properties"].items()
        assert mine["properties"].keys() >= LABELS
        assert mine["properties"]["from"] == AT
        assert mine["properties"]["to"] == "2019-12-28T00:00:00-05:00"
        assert mine["properties"]["utc_offset"] == "-05:00"
        one = ogc.get(f"/ogc/collections/town.{kind}/items/{mine['id']}", params={"datetime": AT})
        if mine is ours["features"][0]:
            again = ogc.get(linked(one.json(), "self")).json()
            assert {n: again[n] for n in mine} == mine


coordinate = st.floats(-0.1, 1.1)


@pytest.mark.slow
@settings(max_examples=25)
@given(
    st.tuples(coordinate, coordinate), st.tuples(coordinate, coordinate), st.sampled_from([0, 1, 2])
)
def test_a_box_filters_what_was_chosen_for_the_whole_region(ogc, served, low, high, system):
    west, south, east, north = _extent(ogc)
    x = sorted(west + (east - west) * np.array([low[0], high[0]]))
    y = sorted(south + (north - south) * np.array([low[1], high[1]]))
    given_box = {"bbox": f"{x[0]},{y[0]},{x[1]},{y[1]}"}
    area = shapely.box(x[0], y[0], x[1], y[1])
    if system == 1:
        given_box = {"bbox": f"{y[0]},{x[0]},0,{y[1]},{x[1]},9", "bbox_crs": LATITUDE_FIRST}
    if system == 2:
        move = Transformer.from_crs("OGC:CRS84", "EPSG:32618", always_xy=True)
        back = Transformer.from_crs("EPSG:32618", "OGC:CRS84", always_xy=True)
        (x0, x1), (y0, y1) = move.transform(x, y)
        x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
        x1, y1 = x1 + 1, y1 + 1  # shapely does not segmentize a point
        given_box = {"bbox": f"{x0},{y0},{x1},{y1}", "bbox_crs": OWN}
        ring = shapely.segmentize(shapely.box(x0, y0, x1, y1), max(x1 - x0, y1 - y0, 1) / 50)
        area = shapely.transform(ring, lambda xy: np.column_stack(back.transform(*xy.T)))
    whole = items(ogc, "hotspots").json()
    found = items(ogc, "hotspots", **given_box).json()
    touching = shapely.intersects(shapes_of(whole), area)
    expected = {f["id"] for f, inside in zip(whole["features"], touching, strict=True) if inside}
    sure = shapely.distance(shapely.boundary(shapes_of(whole)), shapely.boundary(area)) > 1e-6
    unsure = {f["id"] for f, is_sure in zip(whole["features"], sure, strict=True) if not is_sure}
    assert {f["id"] for f in found["features"]} - unsure == expected - unsure
    assert found["numberMatched"] == len(found["features"])


def test_a_box_without_an_area(ogc):
    whole = items(ogc, "hotspots", crs=OWN).json()
    x, y = shapely.centroid(shapes_of(whole))[0].coords[0]
    found = items(ogc, "hotspots", bbox=f"{x},{y},{x},{y}", bbox_crs=OWN, crs=OWN).json()
    assert found["features"] == whole["features"][:1]


def _extent(ogc):
    return ogc.get("/ogc/collections/town.hotspots").json()["extent"]["spatial"]["bbox"][0]


@pytest.mark.slow
@settings(max_examples=15)
@given(st.integers(1, 30), st.sampled_from(["hotspots", "streets"]), st.booleans())
def test_pages_together_are_the_whole_and_lead_back(ogc, limit, kind, names_an_hour):
    hour = {"datetime": AT} if names_an_hour else {}
    address = f"/ogc/collections/town.{kind}/items"
    page = ogc.get(address, params={**hour, "limit": limit}).json()
    whole = ogc.get(linked(page, "self").replace(f"limit={limit}", "limit=10000")).json()
    seen, before = [], None
    while True:
        assert page["numberReturned"] == len(page["features"]) <= limit
        assert page["numberMatched"] == len(whole["features"])
        seen += page["features"]
        back = linked(page, "prev")
        assert (back is None) == (before is None)
        if back is not None:
            assert ogc.get(back).json()["features"] == before
        before, following = page["features"], linked(page, "next")
        if following is None:
            break
        assert "datetime=" in following
        assert "model=truth-" in following
        page = ogc.get(following).json()
    assert seen == whole["features"]


@pytest.mark.parametrize("reference", references("EPSG:32618"), ids=lambda one: one.code)
@pytest.mark.parametrize("kind", ["hotspots", "incidents"])
def test_coordinates_in_each_system(ogc, reference, kind):
    hour = "2019-12-01T00:00:00Z/.." if kind == "incidents" else AT
    plain = items(ogc, kind, datetime=hour).json()
    reply = items(ogc, kind, datetime=hour, crs=reference.uri)
    assert reply.headers["content-crs"] == f"<{reference.uri}>"
    there = shapely.get_coordinates(shapes_of(reply.json()))
    if reference.code == "EPSG:4326":
        there = there[:, ::-1]
        assert there[0, 0] < -70
    back = Transformer.from_crs(reference.code, "OGC:CRS84", always_xy=True)
    there = there if reference.code == "EPSG:4326" else np.column_stack(back.transform(*there.T))
    np.testing.assert_allclose(there, shapely.get_coordinates(shapes_of(plain)), atol=1e-8)
    assert [f["id"] for f in reply.json()["features"]] == [f["id"] for f in plain["features"]]


def test_an_interval_is_one_forecast_of_its_hours(ogc):
    found = items(ogc, "hotspots", datetime="2019-12-28T03:10:00Z/2019-12-28T06:00:00Z").json()
    theirs = ogc.get(
        "/v1/regions/town/forecasts/hotspots",
        params={"from": "2019-12-28T03:00:00Z", "to": "2019-12-28T06:00:00Z"},
    ).json()
    assert [f["id"] for f in found["features"]] == [f["id"] for f in theirs["features"]]
    said = found["features"][0]["properties"]
    assert (said["from"], said["to"]) == ("2019-12-27T22:00:00-05:00", "2019-12-28T01:00:00-05:00")


@pytest.mark.parametrize(
    ("when", "start", "hours"),
    [
        ("2019-12-28T04:30:00+00:00", "2019-12-28T04:00:00+00:00", 1),
        ("2019-12-28t04:30:00.5z", "2019-12-28T04:00:00+00:00", 1),
        ("2019-12-28T04:30:00Z/2019-12-28T04:30:00Z", "2019-12-28T04:00:00+00:00", 1),
        ("2019-12-28T04:00:00Z/..", "2019-12-28T04:00:00+00:00", 168),
        ("/2019-12-28T04:00:00Z", "2019-12-21T04:00:00+00:00", 168),
    ],
)
def test_which_hours(ogc, when, start, hours):
    head = items(ogc, "neighbourhoods", datetime=when).json()["hotslot"]
    assert datetime.fromisoformat(head["at"]) == datetime.fromisoformat(start)
    assert head.get("n_slots", 1) == hours


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"datetime": "2019-12-28"}, "datetime"),
        ({"datetime": "2019-12-28T04:00:00"}, "datetime"),
        ({"datetime": "2019-13-28T04:00:00Z"}, "datetime"),
        ({"datetime": "../.."}, "datetime"),
        ({"datetime": "2019-12-28T04:00:00Z/2019-12-27T04:00:00Z"}, "datetime"),
        ({"datetime": "0001-01-01T00:00:00+14:00"}, "datetime"),
        ({"datetime": "../0001-01-02T00:00:00Z"}, "datetime"),
        ({"datetime": "2019-12-01T00:00:00Z/2019-12-28T04:00:00Z"}, "to"),
        ({"bbox": "1,2,3"}, "bbox"),
        ({"bbox": "1,2,x,4"}, "bbox"),
        ({"bbox": "1,9,2,4"}, "bbox"),
        ({"bbox": "nan,1,2,4", "bbox_crs": OWN}, "bbox"),
        ({"bbox": "1e30,1e30,2e30,2e30", "bbox_crs": OWN}, "bbox"),
        ({"bbox_crs": "EPSG:2056", "bbox": "1,2,3,4"}, "bbox-crs"),
        ({"crs": "http://www.opengis.net/def/crs/EPSG/0/99999"}, "crs"),
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"offset": -1}, "offset"),
        ({"f": "gml"}, "f"),
        ({"colour": "red"}, "colour"),
        ({"category": "nonsense"}, "category"),
    ],
)
def test_mistakes_are_400_problems(ogc, query, field):
    reply = items(ogc, "hotspots", **query)
    expected = 404 if field == "category" else 400
    assert (reply.status_code, reply.json()["field"]) == (expected, field), reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["status"] == expected


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/ogc/collections/nowhere.hotspots", "not_found"),
        ("/ogc/collections/town.nothing", "no_collection"),
        ("/ogc/collections/town.nothing/items", "no_collection"),
        ("/ogc/collections/town.hotspots/items/none", "no_feature"),
        ("/ogc/collections/town.incidents/items/999999999", "no_feature"),
        ("/ogc/collections/town", "not_found"),
    ],
)
def test_what_is_not_there(ogc, path, code):
    reply = ogc.get(path)
    assert (reply.status_code, reply.json()["code"]) == (404, code)


LATE = "2019-12-28T00:00:00Z/.."


def test_incidents_page_by_page(ogc, served):
    every = items(ogc, "incidents", datetime=LATE, limit=10_000).json()["features"]
    page = items(ogc, "incidents", datetime=LATE, limit=17).json()
    seen = page["features"]
    while following := linked(page, "next"):
        page = ogc.get(following).json()
        seen += page["features"]
    assert seen == every
    assert len({f["id"] for f in seen}) == len(seen) > 17
    at = [datetime.fromisoformat(f["properties"]["occurred_at"]) for f in seen]
    assert at == sorted(at)
    assert at[0] >= datetime(2019, 12, 28, tzinfo=UTC)


def test_incidents_of_a_time_and_a_place(ogc):
    some = items(ogc, "incidents", datetime=LATE).json()["features"][3]
    at = datetime.fromisoformat(some["properties"]["occurred_at"]).astimezone(UTC)
    exact = items(ogc, "incidents", datetime=f"{at:%Y-%m-%dT%H:%M:%SZ}").json()["features"]
    assert some in exact
    assert {f["properties"]["occurred_at"] for f in exact} == {some["properties"]["occurred_at"]}
    after = f"{at + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}/.."
    assert some not in items(ogc, "incidents", datetime=after, limit=10_000).json()["features"]
    one = ogc.get(f"/ogc/collections/town.incidents/items/{some['id']}").json()
    assert {name: one[name] for name in some} == some
    x, y = some["geometry"]["coordinates"]
    near = items(ogc, "incidents", datetime=LATE, bbox=f"{x},{y},{x},{y}").json()["features"]
    assert some in near
    assert {tuple(f["geometry"]["coordinates"]) for f in near} == {(x, y)}


def test_readers_are_shown_no_incidents(keyed):
    listed = [c["id"] for c in keyed("reader", "/ogc/collections").json()["collections"]]
    assert "town.incidents" not in listed
    assert "town.hotspots" in listed
    for path in ("", "/items", "/items/1"):
        refused = keyed("reader", f"/ogc/collections/town.incidents{path}")
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert "town.incidents" in keyed("analyst", "/ogc/collections").text


def test_listing_incidents_is_audited(keyed, served):
    query = text("SELECT count(*) FROM audit_log WHERE action = 'export'")
    with served.engine.connect() as connection:
        before = connection.scalar(query)
    assert keyed("analyst", "/ogc/collections/town.incidents/items", limit=3).status_code == 200
    assert keyed("analyst", "/ogc/collections/town.incidents/items/1").status_code == 200
    with served.engine.connect() as connection:
        assert connection.scalar(query) == before + 2


def test_a_region_without_a_version_has_no_forecasts(ogc, served):
    add_region(served.engine, "bare", timezone="UTC")
    listed = ogc.get("/ogc/collections").json()["collections"]
    assert [c["id"] for c in listed if c["id"].startswith("bare.")] == ["bare.incidents"]
    reply = ogc.get("/ogc/collections/bare.hotspots/items")
    assert (reply.status_code, reply.json()["code"]) == (409, "no_model")
    assert ogc.get("/ogc/collections/bare.incidents/items").json()["features"] == []
