"""Every format brings both ends of an interval, and what is read back adds nothing (case 19)."""

from __future__ import annotations

import io
import json
from datetime import datetime

import geopandas as gpd
import numpy as np
import openpyxl
import pandas as pd
import pytest

from tests.support.simulated.interval_rows import body, times, warnings

ROW = {"occurred_from": "2026-07-23T08:00", "occurred_to": "2026-07-23T18:00",
       "longitude": -84.5, "latitude": 39.1, "category": "Burglary"}  # fmt: skip


def geojson(row):
    held = {name: value for name, value in row.items() if name not in ("longitude", "latitude")}
    point = {"type": "Point", "coordinates": [row["longitude"], row["latitude"]]}
    feature = {"type": "Feature", "geometry": point, "properties": held}
    return json.dumps({"type": "FeatureCollection", "features": [feature]})


def workbook(row):
    book = openpyxl.Workbook()
    book.active.append(list(row))
    typed = {n: datetime.fromisoformat(v) if n.startswith("occ") else v for n, v in row.items()}
    book.active.append(list(typed.values()))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def frame(row):
    ends = {n: pd.to_datetime([row[n]]).as_unit("ms") for n in ("occurred_from", "occurred_to")}
    held = {"category": [row["category"]], **ends}
    points = gpd.points_from_xy([row["longitude"]], [row["latitude"]])
    return gpd.GeoDataFrame(held, geometry=points, crs="EPSG:4326")


def parquet(row):
    file = io.BytesIO()
    frame(row).to_parquet(file)
    return file.getvalue()


def geopackage(row, tmp_path):
    frame(row).to_file(tmp_path / "made.gpkg")
    return (tmp_path / "made.gpkg").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "json", "ndjson", "geojson", "xlsx", "parquet", "gpkg"])
def test_every_format_brings_both_ends(door, kind, tmp_path):
    made = {
        "csv": lambda: pd.DataFrame([ROW]).to_csv(index=False),
        "json": lambda: json.dumps([ROW]),
        "ndjson": lambda: json.dumps(ROW) + "\n",
        "geojson": lambda: geojson(ROW),
        "xlsx": lambda: workbook(ROW),
        "parquet": lambda: parquet(ROW),
        "gpkg": lambda: geopackage(ROW, tmp_path),
    }[kind]()
    sent = door.send(f"a.{kind}", made)
    assert sent.body["accepted"] == 1, sent
    assert times(door) == [("2026-07-23T08:00", "2026-07-23T18:00")]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "geojson", "parquet"])
def test_what_is_read_back_adds_nothing_when_it_is_sent_again(door, kind):
    rows = [
        f"2026-07-{d:02d}T08:00,2026-07-{d:02d}T{h:02d}:00,x" for d in range(1, 20) for h in (8, 18)
    ]
    assert door.send("a.csv", body(*rows)).body["accepted"] == 38
    before = door.stored()
    back = door.client.get(f"{door.root}/incidents", params={"f": kind, "limit": 100}).content
    again = door.send(f"b.{kind}", back)
    assert (again.body["duplicates"], again.body["accepted"]) == (38, 0), again
    assert "open_ends" not in warnings(again)
    assert door.stored() == before


def test_instants_have_no_interval_when_read_back(door):
    door.send("a.csv", body("2026-07-23T07:00,,x", "2026-07-23T08:00,2026-07-23T09:00,x"))
    shown = [{n: v for n, v in one.items() if n.startswith("occurred")} for one in door.stored()]
    assert shown == [
        {"occurred_at": "2026-07-23T07:00:00-04:00"},
        {
            "occurred_at": None,
            "occurred_from": "2026-07-23T08:00:00-04:00",
            "occurred_to": "2026-07-23T09:00:00-04:00",
        },
    ]
    back = door.client.get(f"{door.root}/incidents", params={"f": "parquet"}).content
    held = gpd.read_parquet(io.BytesIO(back))
    assert held["occurred_at"].isna().tolist() == [False, True]
    assert held["occurred_to"].isna().tolist() == [True, False]
    assert np.all(held["occurred_from"].isna() == held["occurred_to"].isna())
