"""Zones over HTTP: they keep their budget, say what compactness costs, and agree in every format."""

import csv
import io
import xml.etree.ElementTree as ET

import geopandas as gpd
import numpy as np
import pytest
import shapely

from app.forecasts.zones.documents import zones_gpx
from app.forecasts.zones.plan import ZonePlan
from app.forecasts.zones.selection import ZoneOptions
from tests.support.services.served import NEW, register
from tests.support.simulated.made_forecasts import chosen_zones, forecast_of, record_of, version_of

BASE = "/v1/regions/town/forecasts"
AT = "2019-12-30T23:00"
GPX = "{http://www.topografix.com/GPX/1/1}"


def ask(served, what="zones", **params):
    given = {"at": AT, "max_km2": 2 if what == "zones" else None, **params}
    given = {name: value for name, value in given.items() if value is not None}
    return served.client.get(f"{BASE}/{what}", params=given)


def zones(served, **params):
    reply = ask(served, **params)
    assert reply.status_code == 200, reply.text
    return reply.json()


def members(body):
    return [feature["properties"]["cells"] for feature in body["features"]]


@pytest.mark.slow
def test_zones_are_connected_and_within_their_budget(served):
    body = zones(served, n=3)
    area = dict(zip(served.grid.cell_id.tolist(), served.grid.area_km2, strict=True))
    cells = [cell for zone in members(body) for cell in zone]
    assert len(set(cells)) == len(cells) == body["n_cells"]
    assert body["area_km2"] == pytest.approx(sum(area[cell] for cell in cells))
    assert 0 < body["area_km2"] <= 2
    assert 1 <= body["n_zones"] <= 3
    for feature in body["features"]:
        shape, about = shapely.geometry.shape(feature["geometry"]), feature["properties"]
        assert shape.geom_type == "Polygon"
        assert about["compactness"] >= 0.8
        assert shape.covers(shapely.Point(about["longitude"], about["latitude"]))


@pytest.mark.slow
def test_counts_are_those_of_the_cells(served):
    body = zones(served, n=4)
    density = ask(served, "density").json()["cells"]
    count = dict(zip(density["id"], density["expected_count"], strict=True))
    expected = [sum(count[cell] for cell in zone) for zone in members(body)]
    told = [feature["properties"] for feature in body["features"]]
    assert [one["expected_count"] for one in told] == pytest.approx(expected, rel=1e-6)
    assert [one["rank"] for one in told] == list(range(1, len(told) + 1))
    assert expected == sorted(expected, reverse=True)
    assert body["expected_count"] == pytest.approx(sum(expected), rel=1e-6)
    for one in told:
        assert one["expected_count_lo"] <= one["expected_count"] <= one["expected_count_hi"] + 1
    assert body["expected_count_lo"] <= body["expected_count"] <= body["expected_count_hi"] + 1


def test_the_price_is_that_against_hotspots_of_the_same_area(served):
    body = zones(served, n=2, compactness=1)
    free = ask(served, "hotspots", area_km2=body["area_km2"] + 1e-9).json()
    share = free["share_of_incidents_expected"]
    assert body["share_of_incidents_free"] == pytest.approx(share)
    assert body["share_of_free_cells"] == pytest.approx(body["share_of_incidents_expected"] / share)
    assert 0 < body["share_of_bound"] <= 1
    assert body["share_of_bound"] <= body["share_of_free_cells"] + 1e-9


@pytest.mark.slow
def test_zones_of_a_range_sum_up_its_hours(served):
    span = {"at": None, "from": "2019-12-30T20:00", "to": "2019-12-31T02:00"}
    body = zones(served, **span)
    assert body["n_slots"] == 6
    hotspots = ask(served, "hotspots", **span, area_km2=2).json()
    assert body["expected_total"] == hotspots["expected_total"]
    assert body["expected_count"] <= hotspots["expected_count"] * (1 + 1e-9)


@pytest.mark.slow
def test_zones_stay_apart_and_in_the_box(served):
    far = members(zones(served, n=4, min_separation_m=2000))
    x_m, y_m = served.grid.centres_m()
    rows = [served.grid.rows_of_ids(np.array(zone)) for zone in far]
    assert len(rows) > 1
    for i, one in enumerate(rows):
        for other in rows[:i]:
            apart = np.hypot(x_m[one][:, None] - x_m[other], y_m[one][:, None] - y_m[other])
            assert apart.min() >= 1999
    box = "-74.07,4.6,-74.05,4.7"
    within = {f["id"] for f in ask(served, "density", f="geojson", bbox=box).json()["features"]}
    assert {cell for zone in members(zones(served, bbox=box)) for cell in zone} <= within


def test_other_cells_are_taken_as_asked_for(served):
    larger = zones(served, cell_size_m=1000, max_km2=3)
    assert larger["cell_size_m"] == 1000
    assert 0 < larger["area_km2"] <= 3 * (1 + 1e-9)
    hexagons = zones(served, grid="h3", resolution=8)
    assert all(isinstance(cell, str) for zone in members(hexagons) for cell in zone)
    assert 0 < hexagons["area_km2"] <= 2
    assert all(f["geometry"]["type"] == "Polygon" for f in hexagons["features"])


def test_every_format_has_the_same_zones(served, tmp_path):
    body = zones(served, n=3)
    told = [feature["properties"] for feature in body["features"]]
    lines = list(csv.DictReader(io.StringIO(ask(served, n=3, f="csv").text)))
    assert [line["cells"].split() for line in lines] == [
        [str(cell) for cell in one["cells"]] for one in told
    ]
    assert [float(line["expected_count"]) for line in lines] == pytest.approx(
        [one["expected_count"] for one in told]
    )
    frame = gpd.read_parquet(io.BytesIO(ask(served, n=3, f="parquet").content))
    assert frame["area_km2"].tolist() == pytest.approx([one["area_km2"] for one in told])
    reply = ask(served, n=3, f="gpx")
    assert reply.headers["content-type"] == "application/gpx+xml"
    assert reply.headers["content-disposition"] == 'inline; filename="town-zones.gpx"'
    root = ET.fromstring(reply.content)
    waypoints = root.findall(f"{GPX}wpt")
    assert [float(one.get("lat")) for one in waypoints] == [one["latitude"] for one in told]
    assert [one.findtext(f"{GPX}name") for one in waypoints] == [
        f"Zone {one['rank']}" for one in told
    ]
    path = tmp_path / "zones.gpx"
    path.write_bytes(reply.content)
    assert gpd.read_file(path, layer="waypoints").shape[0] == len(told)
    outlines = gpd.read_file(path, layer="tracks").geometry
    for line, feature in zip(outlines, body["features"], strict=True):
        ring = shapely.Polygon(line.geoms[0].coords)
        assert ring.equals(shapely.geometry.shape(feature["geometry"]))


def test_names_are_escaped_in_gpx():
    version = version_of(record=record_of(version="<v1> & more"))
    forecast, options = forecast_of(version), ZoneOptions(max_km2=0.5)
    chosen = chosen_zones(forecast, options)
    root = ET.fromstring(zones_gpx(ZonePlan(forecast, options, chosen, np.ones((1, 5)))))
    assert "<v1> & more" in root.findtext(f"{GPX}metadata/{GPX}name")


def test_a_repeated_request_gets_the_same_reply(served):
    first, second = ask(served, n=3), ask(served, n=3)
    assert first.content == second.content
    tag = {"If-None-Match": first.headers["etag"]}
    url, params = f"{BASE}/zones", {"at": AT, "max_km2": 2, "n": 3}
    assert served.client.get(url, params=params, headers=tag).status_code == 304
    assert ask(served, n=4).headers["etag"] != first.headers["etag"]


@pytest.mark.slow
def test_equal_cells_leave_no_choice_but_the_order_of_ids(served):
    n = len(served.grid)
    model = register(served.engine, served.data, "even", NEW, {-1: np.full((1, n), 1 / n)})
    body = zones(served, model=model, n=2)
    assert body["share_of_free_cells"] == pytest.approx(1, abs=0.25)
    assert members(zones(served, model=model, n=2)) == members(body)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"max_km2": 0}, "max_km2"),
        ({"max_km2": "nan"}, "max_km2"),
        ({"max_km2": 1e-9}, "max_km2"),
        ({"max_km2": 1e6}, "max_km2"),
        ({"n": 0}, "n"),
        ({"n": 21}, "n"),
        ({"compactness": 1.5}, "compactness"),
        ({"min_separation_m": -1}, "min_separation_m"),
        ({"min_separation_m": 60_000}, "min_separation_m"),
        ({"f": "tif"}, "f"),
        ({"bbox": "10,10,11,11"}, "bbox"),
        ({"weight": "harm"}, "weight"),
        ({"category": "nothing of the kind"}, "category"),
    ],
)
def test_what_cannot_be_is_refused_by_name(served, params, field):
    reply = ask(served, **params)
    assert reply.status_code == (404 if field == "category" else 422), reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert field in str(reply.json())
