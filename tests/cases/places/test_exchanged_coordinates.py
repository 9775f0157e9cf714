"""Longitude and latitude exchanged, in the boundary or in the first file (cases 23 and 24)."""

import random

import numpy as np
import pytest
from sqlalchemy import update

from app.core.db.tables import regions
from app.geo.study_area import to_metres
from app.incidents.column_store import read_columns
from app.regions.store import get_region
from app.worker.jobs import work_on

BERLIN, TORONTO = (13.4, 52.5), (-79.38, 43.67)
SWAPPED_BOX = [[52.4, 13.2], [52.6, 13.2], [52.6, 13.6], [52.4, 13.6], [52.4, 13.2]]
RIGHT_BOX = [[13.2, 52.4], [13.6, 52.4], [13.6, 52.6], [13.2, 52.6], [13.2, 52.4]]
TRAIN = {"model": "pooled-kde", "validate": False}


def _csv(middle, n=60, seed=0):
    draw = random.Random(seed)
    rows = ["datetime,longitude,latitude,type"]
    for k in range(n):
        x, y = (round(v + draw.uniform(-0.02, 0.02), 6) for v in middle)
        rows.append(f"2026-07-{1 + k % 28:02}T{k % 24:02}:15:00,{x},{y},Theft")
    return "\n".join(rows)


def _set(engine, region, **columns):
    """Store a region as releases before these checks made it."""
    with engine.begin() as connection:
        connection.execute(update(regions).where(regions.c.id == region).values(**columns))


def test_right_incidents_are_not_blamed_for_a_swapped_boundary(doors, engine):
    door = doors("Europe/Berlin")
    boundary = {"type": "Polygon", "coordinates": [SWAPPED_BOX]}
    _set(engine, door.region, boundary=boundary, crs="EPSG:32639")
    sent = door.send("right.csv", _csv(BERLIN))
    assert sent.status in (409, 422)
    assert (
        "the boundary lies near 13.40 N 52.50 E, the incidents near 52.50 N 13.40 E" in sent.error
    )
    assert "region edit" in sent.error
    assert "PATCH" in sent.error
    assert door.stored() == []
    if door.way == "http":
        assert (sent.status, sent.body["code"], sent.body["field"]) == (
            409,
            "boundary_misplaced",
            "boundary",
        )


def test_a_right_boundary_rejects_swapped_incidents_by_row(doors):
    door = doors("Europe/Berlin", {"type": "Polygon", "coordinates": [RIGHT_BOX]})
    sent = door.send("swapped.csv", _csv(BERLIN[::-1]))
    assert sent.body["rejected_by_code"] == {"looks_swapped": 60}
    assert "exchange the columns" in sent.body["warnings"][0]["message"]
    assert door.stored() == []


def test_strays_are_counted_and_placed(doors):
    door = doors("Europe/Berlin", {"type": "Polygon", "coordinates": [RIGHT_BOX]})
    strays = _csv((13.05, 52.4), 5, 1).split("\n", 1)[1]
    sent = door.send("mixed.csv", f"{_csv(BERLIN)}\n{strays}")
    assert (sent.body["accepted"], sent.body["rejected"]) == (60, 5)
    assert "5 of 65 rows lie over 1 km outside the study area, near 52.40 N 13.05 E" in str(
        sent.body["warnings"]
    )


def test_a_first_file_with_exchanged_columns_is_refused(doors):
    door = doors("America/Toronto")
    sent = door.send("swapped.csv", _csv(TORONTO[::-1]))
    assert sent.status == 422
    assert "79.38 S 43.67 E" in sent.error
    assert "exchange the columns" in sent.error
    assert door.stored() == []
    assert door.client.get(door.root).json()["crs"] is None
    swapped = ["longitude=latitude", "latitude=longitude"]
    sent = door.send("swapped.csv", _csv(TORONTO[::-1]), columns=swapped)
    assert (sent.body["accepted"], sent.body["warnings"]) == (60, [])
    assert door.client.get(door.root).json()["crs"] == "EPSG:32617"


def test_incidents_far_from_the_time_zone_are_stored_with_a_warning(doors):
    door = doors("America/Toronto")
    sent = door.send("test.csv", "datetime,longitude,latitude,type\n2026-03-01T10:00:00,1,1,test")
    assert sent.body["accepted"] == 1
    assert [w["code"] for w in sent.body["warnings"]] == ["zone_far_from_incidents"]


def _grid(door, engine, settings):
    run = door.client.post(f"{door.root}/training-runs", json=TRAIN).json()["id"]
    work_on(engine, settings, "train", run)
    found = door.client.get(f"{door.root}/training-runs/{run}").json()
    assert found["status"] == "succeeded", found
    at = {"at": "2026-08-03T22:00"}
    reply = door.client.get(f"{door.root}/forecasts/density", params=at).json()
    return reply["crs"], len(reply["cells"]["id"]), reply["grid"]


@pytest.mark.slow
@pytest.mark.parametrize("trained", [False, True])
def test_an_erased_first_upload_leaves_no_trace(doors, engine, settings, trained):
    """In a zone without a place nothing shows that the first file is wrong, until it is erased."""
    clean, door = doors("Etc/UTC"), doors("Etc/UTC")
    clean.send("right.csv", _csv(TORONTO, 200))
    first = door.send("swapped.csv", _csv(TORONTO[::-1], 200))
    if trained:
        assert _grid(door, engine, settings)[0] == "EPSG:32738"
    door.client.delete(f"{door.root}/uploads/{first.body['upload_id']}")
    door.send("right.csv", _csv(TORONTO, 200))
    assert _grid(door, engine, settings) == _grid(clean, engine, settings)
    assert _grid(clean, engine, settings)[0] == "EPSG:32617"


def test_a_test_row_does_not_place_the_region(doors, engine):
    door = doors("Etc/UTC")
    door.send("test.csv", "datetime,longitude,latitude,type\n2026-03-01T10:00:00,1,1,test")
    assert door.client.get(door.root).json()["crs"] == "EPSG:32631"
    door.send("right.csv", _csv(TORONTO))
    assert door.client.get(door.root).json()["crs"] == "EPSG:32617"
    with engine.connect() as connection:
        columns = read_columns(connection, get_region(connection, door.region))
    places = [
        (one["longitude"], one["latitude"]) for one in door.stored() if one["category"] == "Theft"
    ]
    x_m, y_m = to_metres(*np.array(places).T, "EPSG:32617")
    placed = columns.category == columns.category_names.index("Theft")
    assert np.abs(np.sort(columns.x_m[placed]) - np.sort(x_m)).max() < 0.1
    assert np.abs(np.sort(columns.y_m[placed]) - np.sort(y_m)).max() < 1.0


def test_a_later_file_with_exchanged_columns_is_refused_by_what_is_stored(doors):
    door = doors("Etc/UTC")
    door.send("right.csv", _csv(TORONTO))
    sent = door.send("swapped.csv", _csv(TORONTO[::-1]))
    assert sent.status == 422
    assert "those stored lie near 43.67 N 79.38 W" in sent.error
    assert "erase the uploads" in sent.error
    assert len(door.stored()) == 60
