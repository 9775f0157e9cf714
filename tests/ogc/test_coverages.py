"""The density by EDR: the same numbers as the API's own density and series, on the region's grid."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from app.geo.study_area import to_degrees
from app.ogc.tile_matrices import WEB_MERCATOR

HOURS = "2019-12-28T03:00:00Z/2019-12-28T06:00:00Z"
BASE = "/ogc/collections/town.density"


def ask(client, kind, **query):
    query = {"datetime": HOURS, **{k.replace("_", "-"): v for k, v in query.items()}}
    return client.get(f"{BASE}/{kind}", params=query)


def values(coverage, name="expected_count"):
    found = coverage["ranges"][name]
    return np.array(found["values"], float).reshape(found["shape"])


@pytest.fixture(scope="module")
def series(ogc):
    """What the API says of the same hours, cell by cell."""
    span = {"from": "2019-12-28T03:00:00Z", "to": "2019-12-28T06:00:00Z", "cells": True}
    return ogc.get("/v1/regions/town/forecasts/series", params=span).json()


def centre_of(served, row):
    grid = served.grid
    x = grid.x0_m + (grid.ix[row] + 0.5) * grid.cell_size_m
    y = grid.y0_m + (grid.iy[row] + 0.5) * grid.cell_size_m
    longitude, latitude = to_degrees(np.array([x]), np.array([y]), grid.crs)
    return float(longitude[0]), float(latitude[0]), float(x), float(y)


@pytest.mark.parametrize("row", [0, 17, 200])
def test_a_place_has_the_hours_of_its_cell(ogc, served, series, row):
    longitude, latitude, x, y = centre_of(served, row)
    found = ask(ogc, "position", coords=f"POINT({longitude} {latitude})").json()
    assert found["domain"]["domainType"] == "PointSeries"
    assert found["domain"]["axes"]["t"]["values"] == [slot["at"] for slot in series["slots"]]
    np.testing.assert_allclose(
        values(found), [hour[row] for hour in series["cells"]["expected_count"]], rtol=1e-4
    )
    own = ask(ogc, "position", coords=f"POINT({x} {y})", crs="EPSG:32618").json()
    assert own["ranges"] == found["ranges"]
    assert own["domain"]["axes"]["x"]["values"] == [x]
    flipped = ask(ogc, "position", coords=f"POINT({latitude} {longitude})", crs="EPSG:4326").json()
    assert flipped["ranges"] == found["ranges"]


def test_a_cube_is_the_whole_grid_or_a_part_of_it(ogc, served, series):
    grid = served.grid
    whole = ask(ogc, "cube", bbox="-75,4,-73,5").json()
    axes = whole["domain"]["axes"]
    counts = values(whole)
    x = np.linspace(axes["x"]["start"], axes["x"]["stop"], axes["x"]["num"])
    y = np.linspace(axes["y"]["start"], axes["y"]["stop"], axes["y"]["num"])
    assert counts.shape == (3, len(y), len(x))
    column = np.searchsorted(x, grid.x0_m + (grid.ix + 0.5) * grid.cell_size_m - 1)
    line = np.searchsorted(-y, -(grid.y0_m + (grid.iy + 0.5) * grid.cell_size_m + 1))
    expected = np.array(series["cells"]["expected_count"])
    np.testing.assert_allclose(counts[:, line, column], expected, rtol=1e-4)
    assert np.isfinite(counts).sum() == 3 * len(grid)
    totals = [slot["expected_total"] for slot in series["slots"]]
    np.testing.assert_allclose(np.nansum(counts, axis=(1, 2)), totals, rtol=1e-4)
    longitude, latitude, *_ = centre_of(served, 17)
    one = ask(
        ogc,
        "cube",
        bbox=f"{longitude},{latitude},{longitude},{latitude}",
        parameter_name="probability",
    ).json()
    assert list(one["ranges"]) == ["probability"]
    assert values(one, "probability").shape == (3, 1, 1)


def test_an_area_is_null_beside_its_cells(ogc, served):
    longitude, latitude, *_ = centre_of(served, 100)
    triangle = shapely.Polygon(
        [(longitude, latitude), (longitude + 0.02, latitude), (longitude, latitude + 0.02)]
    )
    found = ask(ogc, "area", coords=triangle.wkt).json()
    counts = values(found)
    axes = found["domain"]["axes"]
    size = served.grid.cell_size_m
    back = Transformer.from_crs("EPSG:32618", "OGC:CRS84", always_xy=True)
    for i in range(counts.shape[1]):
        for j in range(counts.shape[2]):
            x = axes["x"]["start"] + j * size
            y = axes["y"]["start"] - i * size
            corners = [(x - size / 2, y - size / 2), (x + size / 2, y - size / 2),
                       (x + size / 2, y + size / 2), (x - size / 2, y + size / 2)]  # fmt: skip
            cell = shapely.Polygon([back.transform(*corner) for corner in corners])
            if np.isfinite(counts[0, i, j]):
                assert cell.intersects(triangle.buffer(1e-5))
            else:
                assert (
                    not cell.buffer(-1e-5).intersects(triangle)
                    or served.grid.locate(np.array([x]), np.array([y]))[0] < 0
                )
    assert np.isfinite(counts).any()
    assert np.isnan(counts).any()


@pytest.mark.parametrize(
    ("kind", "query", "status", "field"),
    [
        ("position", {"coords": "POINT(0 0)"}, 404, "coords"),
        ("position", {"coords": "LINESTRING(0 0, 1 1)"}, 400, "coords"),
        ("position", {"coords": "nonsense"}, 400, "coords"),
        ("position", {"coords": "POINT EMPTY"}, 400, "coords"),
        ("position", {}, 400, "coords"),
        ("position", {"coords": "POINT(0 0)", "parameter_name": "speed"}, 400, "parameter-name"),
        ("area", {"coords": "POLYGON((0 0, 1 1, 1 0, 0 1, 0 0))"}, 400, "coords"),
        ("area", {"coords": "POLYGON((0 0, 1 1, 1 0, 0 0))"}, 400, "coords"),
        ("area", {"coords": "POLYGON((0 0, 1 1, 1 0, 0 0))", "crs": "EPSG:4326"}, 400, "crs"),
        ("cube", {}, 400, "bbox"),
        ("cube", {"bbox": "0,0,1,1"}, 400, "coords"),
        ("cube", {"bbox": "-75,4,-73,5", "z": "1"}, 400, "z"),
    ],
)
def test_mistakes(ogc, kind, query, status, field):
    reply = ask(ogc, kind, **query)
    assert (reply.status_code, reply.json()["field"]) == (status, field), reply.text


def test_tiles_are_the_api_s_own(ogc):
    about = ogc.get(f"{BASE}/map/tiles/WebMercatorQuad").json()
    template = next(link["href"] for link in about["links"] if link["rel"] == "item")
    tile = template.format(tileMatrix=12, tileCol=1205, tileRow=1995)
    theirs = ogc.get("/v1/regions/town/tiles/12/1205/1995.png")
    assert ogc.get(tile).content == theirs.content
    west, south, east, north = about["extent"]["spatial"]["bbox"][0]
    for matrix in WEB_MERCATOR["tileMatrices"]:
        span = matrix["cellSize"] * matrix["tileWidth"] * matrix["matrixWidth"]
        assert span == pytest.approx(2 * 20037508.342789244)
    assert WEB_MERCATOR["tileMatrices"][0]["scaleDenominator"] == pytest.approx(559082264.028717)
    assert west < east
    assert south < north
