"""Boundaries as people have them: axes exchanged, projected, collections, outlines (cases 23, 33)."""

import json

import pytest
from pyproj import Transformer
from typer.testing import CliRunner

from app.cli import app as command_line

BERLIN = [[13.2, 52.4], [13.6, 52.4], [13.6, 52.6], [13.2, 52.6], [13.2, 52.4]]
OHIO = [[-84.53, 39.09], [-84.45, 39.09], [-84.45, 39.15], [-84.53, 39.15], [-84.53, 39.09]]
ANGELES = [[-118.3, 34.0], [-118.2, 34.0], [-118.2, 34.1], [-118.3, 34.1], [-118.3, 34.0]]


def _polygon(ring):
    return {"type": "Polygon", "coordinates": [ring]}


def _swapped(ring):
    return _polygon([[y, x] for x, y in ring])


@pytest.fixture
def created(client, tmp_path, settings, monkeypatch):
    """Create a region by HTTP and by the command line: (status, reply) and (exit code, output)."""
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    names = iter(f"{tmp_path.name.lower()[:50]}-{n}".replace("_", "-") for n in range(100))

    def made(boundary, timezone):
        body = {"id": next(names), "timezone": timezone, "boundary": boundary}
        reply = client.post("/v1/regions", json=body)
        path = tmp_path / "boundary.geojson"
        path.write_text(json.dumps(boundary))
        words = ["region", "create", next(names), "--timezone", timezone, "--boundary", str(path)]
        run = CliRunner().invoke(command_line, words)
        return reply, run

    return made


@pytest.mark.parametrize(
    ("ring", "timezone", "named"),
    [
        (BERLIN, "Europe/Berlin", "52.50 N 13.40 E"),
        (OHIO, "America/New_York", "39.12 N 84.49 W"),
        (ANGELES, "America/Los_Angeles", "exchanged"),
    ],
)
def test_a_boundary_with_the_latitude_first_is_refused(created, ring, timezone, named):
    reply, run = created(_swapped(ring), timezone)
    problem = reply.json()
    assert (reply.status_code, problem["code"]) == (422, "boundary_swapped"), problem
    assert named in problem["detail"]
    assert "longitude first" in problem["detail"]
    assert run.exit_code != 0
    assert "longitude first" in " ".join((run.stderr or str(run.exception)).split())
    reply, run = created(_polygon(ring), timezone)
    assert (reply.status_code, reply.json()["warnings"], run.exit_code) == (201, [], 0)


def test_a_boundary_far_from_its_time_zone_is_made_with_a_warning(created):
    reply, run = created(_polygon(OHIO), "Asia/Tokyo")
    assert [w["code"] for w in reply.json()["warnings"]] == ["zone_far_from_boundary"]
    assert run.exit_code == 0
    assert "Asia/Tokyo" in run.stderr


def test_urumqi_lies_near_its_zone_for_all_that_is_known(created):
    ring = [[87.5, 43.7], [87.7, 43.7], [87.7, 43.9], [87.5, 43.9], [87.5, 43.7]]
    reply, _ = created(_polygon(ring), "Asia/Urumqi")
    assert (reply.status_code, reply.json()["warnings"]) == (201, [])


def test_a_projected_boundary_that_names_its_crs_is_read(created):
    to_utm = Transformer.from_crs("EPSG:4326", "EPSG:32616", always_xy=True)
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32616"}}
    feature = {
        "type": "Feature",
        "properties": {},
        "geometry": _polygon([list(to_utm.transform(*place)) for place in OHIO]),
    }
    reply, _ = created(
        {"type": "FeatureCollection", "crs": crs, "features": [feature]}, "America/New_York"
    )
    assert reply.status_code == 201, reply.text
    xs = [x for x, _ in reply.json()["boundary"]["coordinates"][0]]
    assert (min(xs), max(xs)) == pytest.approx((-84.53, -84.45), abs=1e-6)
    reply, run = created(feature["geometry"], "America/New_York")
    assert reply.status_code == 422
    assert "must be in degrees (WGS 84), got" in reply.json()["detail"]
    assert "ogr2ogr" in reply.json()["detail"]
    assert run.exit_code != 0


def test_a_collection_of_polygons_is_read_and_a_line_is_refused_with_the_way_out(created):
    collection = {"type": "GeometryCollection", "geometries": [_polygon(OHIO)]}
    assert created(collection, "America/New_York")[0].status_code == 201
    reply, _ = created({"type": "LineString", "coordinates": OHIO}, "America/New_York")
    assert reply.status_code == 422
    assert "convert the outline to a polygon" in reply.json()["detail"]


def test_a_shapefile_as_boundary_is_refused_with_the_way_out(tmp_path, settings, monkeypatch):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    path = tmp_path / "boundary.shp"
    path.write_bytes(b"\x00\x00\x27\x0a" + bytes(range(256)))
    words = ["region", "create", "shp", "--timezone", "UTC", "--boundary", str(path)]
    run = CliRunner().invoke(command_line, words)
    assert run.exit_code != 0
    assert "ogr2ogr" in (run.stderr or str(run.exception))
