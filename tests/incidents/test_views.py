"""A page of incidents in each format: the same rows, local times with their offset."""

import csv
import io
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import geopandas as gpd
import pytest

from app.incidents.views import HEADER, incidents_csv, incidents_geojson, incidents_parquet
from tests.support.simulated.made_forecasts import region_of

REGION = region_of(timezone="Europe/Berlin")
SUMMER, WINTER = (datetime(2024, month, 1, 22, 30, tzinfo=UTC) for month in (7, 1))


def stored(at=SUMMER, **more):
    """A row as the database gives it."""
    known = {
        "id": 7, "occurred_at": at, "occurred_to": None, "longitude": 13.4, "latitude": 52.5,
        "category": "theft", "external_id": "x1", "source": "reported", "reference": None, "feed": "police",
        "revised_at": None,
    }  # fmt: skip
    return SimpleNamespace(**{**known, **more})


def lines(rows):
    return list(csv.reader(io.StringIO(incidents_csv(rows, REGION).decode())))


@pytest.mark.parametrize(
    ("at", "local"),
    [(SUMMER, "2024-07-02T00:30:00+02:00"), (WINTER, "2024-01-01T23:30:00+01:00")],
)
def test_times_are_local_with_their_offset_and_the_same_instant(at, local):
    rows = [stored(at, revised_at=at)]
    (feature,) = json.loads(incidents_geojson(rows, REGION, None))["features"]
    assert feature["properties"]["occurred_at"] == feature["properties"]["updated_at"] == local
    line = dict(zip(*lines(rows), strict=True))
    assert (line["occurred_at"], line["updated_at"]) == (local, local)
    frame = gpd.read_parquet(io.BytesIO(incidents_parquet(rows, REGION)))
    assert str(frame["occurred_at"].dt.tz) == "Europe/Berlin"
    assert frame["occurred_at"].iloc[0].to_pydatetime() == at
    assert datetime.fromisoformat(frame["updated_at"].iloc[0]) == at


def test_a_feature_has_its_id_its_point_and_a_link_to_the_next_page():
    told = json.loads(incidents_geojson([stored(id=9)], REGION, "https://x/next"))
    assert told["next"] == "https://x/next"
    (feature,) = told["features"]
    assert feature["id"] == 9
    assert feature["geometry"] == {"type": "Point", "coordinates": [13.4, 52.5]}
    assert {*HEADER} - set(feature["properties"]) == {
        "longitude", "latitude", "occurred_from", "occurred_to",
    }  # fmt: skip


def test_an_interval_has_both_ends_and_no_instant():
    row = stored(WINTER, occurred_to=SUMMER)
    ends = ("2024-01-01T23:30:00+01:00", "2024-07-02T00:30:00+02:00")
    (feature,) = json.loads(incidents_geojson([row], REGION, None))["features"]
    told = [feature["properties"][name] for name in HEADER[:3]]
    assert told == [None, *ends]
    assert lines([row])[1][:3] == ["", *ends]
    frame = gpd.read_parquet(io.BytesIO(incidents_parquet([row, stored()], REGION)))
    assert frame["occurred_at"].isna().tolist() == [True, False]
    assert frame["occurred_from"].iloc[0].to_pydatetime() == WINTER
    assert frame["occurred_to"].iloc[0].to_pydatetime() == SUMMER
    assert frame["occurred_from"].isna().tolist() == [False, True]


def test_no_text_of_a_line_is_a_formula_or_breaks_it():
    hostile = '=HYPERLINK("x")\n,"'
    head, line = lines([stored(category=hostile, external_id="-1", reference=None)])
    found = dict(zip(head, line, strict=True))
    assert found["category"] == f"'{hostile}"
    assert found["external_id"] == "'-1"
    assert found["reference"] == ""
    assert float(found["longitude"]) == 13.4


def test_columns_keep_their_kinds_on_an_empty_page():
    empty = gpd.read_parquet(io.BytesIO(incidents_parquet([], REGION)))
    full = gpd.read_parquet(io.BytesIO(incidents_parquet([stored()], REGION)))
    assert list(empty.columns) == list(full.columns)
    for name in ("id", "occurred_at", "geometry"):
        assert empty[name].dtype == full[name].dtype
    assert empty.crs == full.crs
    assert lines([]) == [list(HEADER)]
    assert json.loads(incidents_geojson([], REGION, None))["features"] == []
