"""The CRS follows the incidents until versions depend on it."""

import pytest
from sqlalchemy import text

from app.incidents.placing import follow_incidents
from app.incidents.service import UploadSource, ingest
from app.regions.outdated import depending_versions, outdate_versions, outdated_of
from app.regions.places import middle_of_boundary, place_warnings
from app.regions.service import add_region
from app.regions.store import get_region
from app.training.service import TrainingRequest
from app.worker.jobs import run_now

HEAD = "occurred_at,longitude,latitude,category\n"


def _send(engine, settings, region, places):
    rows = "".join(
        f"2026-07-{1 + k % 28:02}T{k % 24:02}:15:00Z,{x},{y},theft\n"
        for k, (x, y) in enumerate(places)
    )
    source = UploadSource("text/csv")
    return ingest(engine, region, [(HEAD + rows).encode()], source, settings=settings)


def _around(longitude, latitude, n=60):
    return [(longitude + k % 7 * 0.002, latitude + k % 11 * 0.002) for k in range(n)]


@pytest.fixture
def trained(engine, settings):
    """A region trained on 60 incidents in UTM zone 17."""
    add_region(engine, "trained", timezone="Etc/UTC")
    _send(engine, settings, "trained", _around(-79.4, 43.6))
    request = TrainingRequest("pooled-kde", validate=False)
    run_now(engine, settings, "trained", request, lambda _share, _message: None)
    yield "trained"
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE regions CASCADE"))


def _moved(engine, region):
    with engine.begin() as connection:
        key = get_region(connection, region).key
        found = follow_incidents(connection, key)
        return found, depending_versions(connection, key), outdated_of(connection, key)


def test_versions_hold_the_crs_of_a_middle_nearby(engine, settings, trained):
    _send(engine, settings, trained, _around(-77.9, 43.6, 200))
    region, depending, outdated = _moved(engine, trained)
    assert (region.crs, depending, outdated) == ("EPSG:32617", 1, {})
    assert region.has_boundary


def test_a_middle_far_away_moves_the_region_and_outdates_versions(engine, settings, trained):
    _send(engine, settings, trained, _around(13.4, 52.5, 200))
    region, depending, outdated = _moved(engine, trained)
    assert (region.crs, depending, list(outdated.values())) == ("EPSG:32633", 0, ["crs"])
    assert not region.has_boundary
    with engine.begin() as connection:
        assert outdate_versions(connection, region.key, "boundary") == []


def test_the_middle_of_a_boundary_over_the_meridian_lies_there():
    cut = [
        [[[179.9, -17], [180, -17], [180, -16], [179.9, -17]]],
        [[[-180, -17], [-179.9, -17], [-180, -16], [-180, -17]]],
    ]
    boundary = {"type": "MultiPolygon", "coordinates": cut}
    assert abs(middle_of_boundary(boundary).longitude) == pytest.approx(180)
    assert place_warnings(boundary, "Pacific/Fiji") == []
    assert [w.code for w in place_warnings(boundary, "Europe/Berlin")] == ["zone_far_from_boundary"]
