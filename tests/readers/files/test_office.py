"""Parquet through Arrow: places from points, times as text, only the columns that are needed."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from pyproj import CRS

from app.core.errors import InvalidInput, LimitExceeded
from app.readers.files.office import (
    SHAPEFILE_MAGIC,
    crs_name,
    layer_blocks,
    points_of,
    read_parquet,
)
from tests.support.file_reading import blocks_of, context_of, rows_of

POINT = shapely.Point(-74.06, 4.65)


def parquet(columns, geo=None, **options):
    table = pa.table(columns)
    if geo is not None:
        table = table.replace_schema_metadata({"geo": json.dumps(geo)})
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def incidents(n=1, **more):
    known = {
        "occurred_at": ["2024-03-01T22:05:00Z"] * n, "longitude": [-74.06] * n,
        "latitude": [4.65] * n, "category": ["theft"] * n,
    }  # fmt: skip
    return {**known, **more}


def read(body, **options):
    return blocks_of(read_parquet, body, **options)


def geo(crs="absent"):
    column = {"encoding": "WKB", **({} if crs == "absent" else {"crs": crs})}
    return {"version": "1.1.0", "primary_column": "geom", "columns": {"geom": column}}


def test_points_and_why_there_is_none():
    shapes = [
        POINT, shapely.MultiPoint([(1, 2)]), shapely.MultiPoint([(1, 2), (3, 4)]),
        shapely.Point(), shapely.box(0, 0, 1, 1), None,
    ]  # fmt: skip
    x, y, why = points_of(np.array([None if s is None else shapely.to_wkb(s) for s in shapes]))
    assert (x[:2], y[:2]) == ([-74.06, 1.0], [4.65, 2.0])
    assert np.isnan(x[2:]).all()
    assert why == {
        2: "no place: the geometry is a MultiPoint, only points are read",
        3: "no place: the geometry is missing or empty",
        4: "no place: the geometry is a Polygon, only points are read",
        5: "no place: the geometry is missing or empty",
    }


@pytest.mark.parametrize(
    ("crs", "taken"),
    [
        ("absent", "OGC:CRS84"),
        (None, "OGC:CRS84"),
        (CRS.from_epsg(32618).to_json_dict(), "EPSG:32618"),
    ],
)
def test_geoparquet_gives_place_and_crs(crs, taken):
    columns = {k: v for k, v in incidents().items() if k not in ("longitude", "latitude")}
    (block,) = read(parquet({**columns, "geom": [shapely.to_wkb(POINT)]}, geo(crs)))
    assert (block.columns["x"], block.columns["y"]) == ([-74.06], [4.65])
    assert block.plan.crs == taken


@pytest.mark.parametrize(
    "header", [{}, {"primary_column": "g"}, [], {"columns": {}, "primary_column": 3}]
)
def test_a_broken_header_of_geoparquet_is_said_to_be_one(header):
    with pytest.raises(InvalidInput, match="GeoParquet header cannot be read"):
        read(parquet(incidents(), header))


def test_a_crs_is_a_number_only_if_it_is_exactly_that():
    assert crs_name(CRS.from_epsg(32618)) == "EPSG:32618"
    other = CRS.from_proj4("+proj=utm +zone=18 +ellps=GRS67 +units=m")
    assert CRS.from_wkt(crs_name(other)) == other


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([1709330700], pa.timestamp("s", "UTC")), ["2024-03-01T22:05:00+00:00"]),
        (pa.array([1709330700], pa.timestamp("s")), ["2024-03-01T22:05:00"]),
        (
            pa.array(["2024-03-01T22:05:00Z", None]).dictionary_encode(),
            ["2024-03-01T22:05:00Z", None],
        ),
        (pa.array(["2024-03-01", None], pa.large_string()), ["2024-03-01", None]),
    ],
)
def test_times_are_text_and_local_without_a_zone(values, texts):
    found = rows_of(read(parquet({**incidents(len(texts)), "occurred_at": values})))
    assert [row["occurred_at"] for row in found] == texts


def test_durations_beside_a_date_are_hours():
    columns = incidents()
    del columns["occurred_at"]
    day, clock = pa.array([19_783], pa.date32()), pa.array([79_500], pa.duration("s"))
    (row,) = rows_of(read(parquet({**columns, "date": day, "time": clock})))
    assert (row["date"], row["time"]) == ("2024-03-01", "22:05:00")


@pytest.mark.parametrize("encode", [False, True])
def test_an_overlong_text_spoils_its_rows_alone(encode):
    category = pa.array(["theft", "x" * 41, "ä" * 41, "é" * 40, "x" * 500])
    column = category.dictionary_encode() if encode else category
    (block,) = read(parquet({**incidents(5), "category": column}), limit_chars=40)
    assert sorted(block.broken) == [1, 2, 4]
    assert list(block.columns["category"]) == ["theft", None, None, "é" * 40, None]


def test_fields_of_structs_are_columns_and_lists_are_none():
    columns = {k: v for k, v in incidents().items() if k not in ("longitude", "latitude")}
    place = [{"longitude": -74.06, "latitude": 4.65, "tags": ["a"]}]
    body = parquet({**columns, "location": place})
    mapping = {"longitude": "location.longitude", "latitude": "location.latitude"}
    (row,) = rows_of(read(body, columns=mapping))
    assert (row["longitude"], row["latitude"]) == (-74.06, 4.65)
    (block,) = read(parquet({**incidents(), "category": [["theft", "x"]]}))
    assert list(block.columns["category"]) == [{}]


def test_columns_that_are_not_needed_do_not_count_as_unpacked():
    long = ["x" * 1000 + str(k) for k in range(3_000)]
    body = parquet(incidents(3_000, note=long), use_dictionary=False, compression="zstd")
    assert len(rows_of(read(body, max_expansion=1))) == 3_000
    wanted = parquet(incidents(3_000, category=long), use_dictionary=False, compression="zstd")
    with pytest.raises(LimitExceeded, match="implausible"):
        read(wanted, max_expansion=1)


def test_blocks_are_of_the_size_asked_for():
    assert [block.n_rows for block in read(parquet(incidents(25)), n_rows=10)] == [10, 10, 5]


def test_a_layer_is_opened_only_by_its_first_bytes(tmp_path):
    path = tmp_path / "layer.shp"
    path.write_bytes(b'{"type": "FeatureCollection", "features": []}')
    with pytest.raises(InvalidInput, match=r"not a \.shp file"):
        list(layer_blocks(path, SHAPEFILE_MAGIC, context_of(b"")))


def test_what_is_no_parquet_is_said_to_be_none():
    for body in (b"PAR1", parquet(incidents())[:-20]):
        with pytest.raises(InvalidInput, match="not a readable Parquet file"):
            read(body)
