"""A town on the 180th meridian: Taveuni, Fiji (case 27)."""

import json
import random

import pytest

from app.worker.jobs import work_on

WEST_HALF = [[179.9, -16.9], [180, -16.9], [180, -16.75], [179.9, -16.75], [179.9, -16.9]]
EAST_HALF = [[-180, -16.9], [-179.9, -16.9], [-179.9, -16.75], [-180, -16.75], [-180, -16.9]]
CUT = {"type": "MultiPolygon", "coordinates": [[WEST_HALF], [EAST_HALF]]}
BEYOND = {
    "type": "Polygon",
    "coordinates": [
        [[179.9, -16.9], [180.1, -16.9], [180.1, -16.75], [179.9, -16.75], [179.9, -16.9]]
    ],
}
JUMPING = {
    "type": "Polygon",
    "coordinates": [
        [[179.9, -16.9], [-179.9, -16.9], [-179.9, -16.75], [179.9, -16.75], [179.9, -16.9]]
    ],
}
TRAIN = {"model": "pooled-kde", "validate": False}
AT = {"at": "2026-03-02T22:00"}


def _csv(n=200, beyond=False):
    draw = random.Random(0)
    rows = ["datetime,longitude,latitude,type"]
    for k in range(n):
        longitude = 180 + draw.uniform(-0.03, 0.03)
        if longitude > 180 and not beyond:
            longitude -= 360
        day, hour = 1 + k % 28, k % 24
        rows.append(
            f"2026-02-{day:02}T{hour:02}:00:00,{longitude:.6f},{draw.uniform(-16.85, -16.8):.6f},Theft"
        )
    return "\n".join(rows)


def _trained(door, engine, settings):
    run = door.client.post(f"{door.root}/training-runs", json=TRAIN).json()["id"]
    work_on(engine, settings, "train", run)
    found = door.client.get(f"{door.root}/training-runs/{run}").json()
    assert found["status"] == "succeeded", found


def _get(door, path, **params):
    reply = door.client.get(f"{door.root}{path}", params=params)
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.mark.slow
@pytest.mark.parametrize(
    "boundary", [CUT, BEYOND, JUMPING, None], ids=["cut", "beyond", "jumping", "none"]
)
def test_a_town_on_both_sides_of_the_meridian(doors, engine, settings, boundary):
    door = doors("Pacific/Fiji", boundary)
    sent = door.send("both.csv", _csv())
    assert (sent.body["accepted"], sent.body["warnings"]) == (200, [])
    assert {one["longitude"] > 0 for one in door.stored()} == {True, False}
    _trained(door, engine, settings)
    region = _get(door, "")
    assert region["crs"] in ("EPSG:32760", "EPSG:32701")
    assert region["boundary"]["type"] == "MultiPolygon"
    xs = [x for part in region["boundary"]["coordinates"] for ring in part for x, _ in ring]
    assert max(xs) == 180
    assert min(xs) == -180
    _check_forecasts(door)


def _check_forecasts(door):
    cells = _get(door, "/forecasts/density", **AT)["cells"]
    west = sum(p for p, x in zip(cells["probability"], cells["longitude"], strict=True) if x > 0)
    assert 0.3 < west < 0.7
    assert all(abs(x) <= 180 for x in cells["longitude"])
    spots = _get(door, "/forecasts/hotspots", top=100, **AT)
    for feature in spots["features"]:
        text = json.dumps(feature["geometry"])
        assert feature["geometry"]["type"] in ("Polygon", "MultiPolygon"), text
        parts = feature["geometry"]["coordinates"]
        for part in parts if feature["geometry"]["type"] == "MultiPolygon" else [parts]:
            part_x = [x for x, _ in part[0]]
            assert max(part_x) - min(part_x) < 0.01, text
            assert max(map(abs, part_x)) <= 180, text
    box = {"bbox": "179.99,-16.9,-179.99,-16.75"}
    narrow = _get(door, "/forecasts/hotspots", top=100, **AT, **box)["features"]
    assert 0 < len(narrow) < len(spots["features"])
    points = _get(door, "/forecasts/samples", n=50, seed=1, **AT, **box)["features"]
    assert all(abs(p["geometry"]["coordinates"][0]) >= 179.99 for p in points)
    listed = _get(door, "/incidents", limit=1000, **box)["features"]
    expected = [one for one in door.stored() if abs(one["longitude"]) >= 179.99]
    assert len(listed) == len(expected) > 0
    tiles = _get(door, "/tiles/tilejson.json", **AT)
    assert tiles["bounds"][0] < tiles["bounds"][2]
    assert abs(tiles["center"][0]) > 179
    for grid in ("h3", "square"):
        for f in ("geojson", "png", "parquet"):
            reply = door.client.get(
                f"{door.root}/forecasts/density", params={**AT, "grid": grid, "f": f}
            )
            assert reply.status_code == 200, reply.text


@pytest.mark.slow
def test_longitudes_that_continue_beyond_180_are_the_same_places(doors):
    door = doors("Pacific/Fiji", CUT)
    first = door.send("both.csv", _csv())
    again = door.send("again.csv", _csv(beyond=True))
    assert (first.body["accepted"], again.body["duplicates"]) == (200, 200)


def test_elsewhere_a_longitude_beyond_180_is_refused(door):
    sent = door.send(
        "a.csv", "datetime,longitude,latitude,type\n2026-03-01T10:00:00,275.5,39.1,Theft"
    )
    assert sent.body["errors"][0]["code"] == "out_of_range"


def test_a_box_whose_west_is_east_of_its_east_is_refused_elsewhere(door):
    reply = door.client.get(f"{door.root}/incidents", params={"bbox": "-84,39,-85,40"})
    assert reply.status_code == 422
    assert "180th meridian" in reply.json()["detail"]
