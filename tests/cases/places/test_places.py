"""Coordinates in other systems and spellings, villages (cases 26, 33, 47)."""

import random

import pytest
from pyproj import Geod, Transformer

from app.worker.jobs import work_on

TRAIN = {"model": "pooled-kde", "validate": False}
AT = {"at": "2026-08-03T22:00"}
# Corners that surveyors publish in their own system, and where they are (case 26).
SYSTEMS = [
    ("EPSG:26717", 630062.4, 4833215.6, -79.3871, 43.6426, "America/Toronto"),
    ("EPSG:26741", 2000298.66, 607206.89, -122.0, 41.0, "America/Los_Angeles"),
    ("EPSG:31467", 3565687.57, 5935847.84, 9.99, 53.55, "Europe/Berlin"),
    ("EPSG:27700", 530034.0, 180381.0, -0.1276, 51.5072, "Europe/London"),
    ("EPSG:2039", 179556.03, 665855.39, 34.7818, 32.0853, "Asia/Jerusalem"),
    ("EPSG:2193", 1756911.94, 5920321.82, 174.76, -36.85, "Pacific/Auckland"),
    ("EPSG:25830", 725695.71, 4372210.14, -0.3763, 39.4699, "Europe/Madrid"),
    ("EPSG:3857", -8837331.55, 5410299.27, -79.3871, 43.6426, "America/Toronto"),
]
OHIO = [[-84.53, 39.08], [-84.45, 39.08], [-84.45, 39.15], [-84.53, 39.15], [-84.53, 39.08]]
VILLAGE = [
    [-84.53, 39.08],
    [-84.526, 39.08],
    [-84.526, 39.0835],
    [-84.53, 39.0835],
    [-84.53, 39.08],
]


@pytest.mark.parametrize(("crs", "x", "y", "longitude", "latitude", "timezone"), SYSTEMS)
def test_a_corner_in_a_national_system_lies_within_metres(
    doors, crs, x, y, longitude, latitude, timezone
):
    door = doors(timezone)
    columns = ["occurred_at=datetime", "x=E", "y=N", "category=type"]
    sent = door.send(
        "a.csv", f"datetime,E,N,type\n2026-03-01T10:00:00,{x},{y},Theft", columns=columns, crs=crs
    )
    assert sent.body["accepted"] == 1, sent
    found = door.stored()[0]
    _, _, metres = Geod(ellps="WGS84").inv(
        longitude, latitude, found["longitude"], found["latitude"]
    )
    assert metres < 30


@pytest.mark.parametrize(
    ("delimiter", "x", "y"),
    [
        (",", '"2,315,042.61"', '"13,823,104.5"'),
        (";", "2.315.042,61", "13.823.104,5"),
        (";", "2315042,61", "13823104,5"),
    ],
)
def test_metres_with_separated_thousands_are_read(doors, delimiter, x, y):
    door = doors("America/Chicago")
    columns = ["occurred_at=datetime", "x=E", "y=N", "category=type"]
    lines = [["datetime", "E", "N", "type"], ["2026-03-01T10:00:00", x, y, "Theft"]]
    text = "\n".join(delimiter.join(line) for line in lines)
    sent = door.send("a.csv", text, columns=columns, crs="EPSG:2278")
    assert sent.body["accepted"] == 1, sent
    to_degrees = Transformer.from_crs("EPSG:2278", "EPSG:4326", always_xy=True)
    expected = to_degrees.transform(2315042.61, 13823104.5)
    found = door.stored()[0]
    assert (found["longitude"], found["latitude"]) == pytest.approx(expected, abs=1e-6)


def test_thousands_that_may_be_decimals_are_refused_by_their_field(doors):
    door = doors("America/Chicago")
    columns = ["occurred_at=datetime", "x=E", "y=N", "category=type"]
    text = 'datetime,E,N,type\n2026-03-01T10:00:00,"315,042","823,104",Theft'
    sent = door.send("a.csv", text, columns=columns, crs="EPSG:26915")
    assert (sent.body["accepted"], sent.body["rejected"]) == (0, 1)
    error = sent.body["errors"][0]
    assert (error["field"], error["code"]) == ("longitude", "not_a_number")


def test_metres_without_a_crs_are_refused_as_metres(doors):
    door = doors("America/Chicago")
    columns = ["occurred_at=datetime", "x=E", "y=N", "category=type"]
    text = 'datetime,E,N,type\n2026-03-01T10:00:00,"315,042.5","4,823,104.5",Theft'
    sent = door.send("a.csv", text, columns=columns)
    assert sent.body["errors"][0]["code"] == "not_degrees"


def _csv(places):
    kinds = ("Theft", "Assault")
    rows = [
        f"2026-07-{1 + k % 28:02}T{k * 7 % 24:02}:{k % 60:02}:00,{x:.6f},{y:.6f},{kinds[k % 2]}"
        for k, (x, y) in enumerate(places)
    ]
    return "\n".join(["datetime,longitude,latitude,type", *rows])


def _trained(door, engine, settings):
    run = door.client.post(f"{door.root}/training-runs", json=TRAIN).json()["id"]
    work_on(engine, settings, "train", run)
    return door.client.get(f"{door.root}/training-runs/{run}").json()


@pytest.mark.parametrize("n", [12, 45, 120])
def test_a_village_is_forecast_with_a_warning(doors, engine, settings, n):
    door = doors("America/New_York", {"type": "Polygon", "coordinates": [VILLAGE]})
    draw = random.Random(n)
    places = [(draw.uniform(-84.53, -84.526), draw.uniform(39.08, 39.0835)) for _ in range(n)]
    assert door.send("village.csv", _csv(places)).body["accepted"] == n
    assert _trained(door, engine, settings)["status"] == "succeeded"
    reply = door.client.get(f"{door.root}/forecasts/density", params=AT).json()
    assert sum(reply["cells"]["probability"]) == pytest.approx(1)
    assert "thin_data" in [w["code"] for w in reply["warnings"]]


def test_a_village_without_a_boundary_learns_how_many_incidents_are_needed(doors, engine, settings):
    door = doors("America/New_York")
    door.send("village.csv", _csv([(-84.53 + 0.0003 * k, 39.08) for k in range(12)]))
    run = _trained(door, engine, settings)
    assert run["status"] == "failed"
    assert "at least 20" in run["message"]
    assert "boundary" in run["message"]


def test_a_hole_in_a_boundary_has_no_cells_and_edges_belong(doors):
    lake = [[-84.51, 39.1], [-84.51, 39.13], [-84.47, 39.13], [-84.47, 39.1], [-84.51, 39.1]]
    door = doors("America/New_York", {"type": "Polygon", "coordinates": [OHIO, lake]})
    sent = door.send("a.csv", _csv([(-84.49, 39.115), (-84.53, 39.1), (-84.53, 39.08)]))
    assert (sent.body["accepted"], sent.body["rejected_by_code"]) == (2, {"outside_study_area": 1})
