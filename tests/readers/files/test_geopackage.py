"""GeoPackages are untrusted databases: only plain tables are read, by their own layers' rules."""

import sqlite3
import struct

import pytest
import shapely

from app.core.errors import InvalidInput, LimitExceeded
from app.readers.files.geopackage import _wkb, read_geopackage
from tests.support.file_reading import blocks_of, rows_of

CATALOGUE = """
CREATE TABLE gpkg_contents (table_name TEXT, data_type TEXT);
CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT, srs_id INT);
CREATE TABLE gpkg_spatial_ref_sys
  (srs_id INT, organization TEXT, organization_coordsys_id INT, definition TEXT);
INSERT INTO gpkg_spatial_ref_sys VALUES (1, 'EPSG', 4326, ''), (2, 'epsg', 32618, ''),
  (3, 'NONE', 0, 'undefined');
"""
TABLE = (
    "CREATE TABLE crimes (fid INTEGER PRIMARY KEY, geom BLOB, occurred_at DATETIME, category TEXT)"
)
AT = "2024-03-01T22:05:00"


def blob(shape=None, flags=0x01, envelope=b"", raw=None):
    """A geometry as the format writes it."""
    wkb = shapely.to_wkb(shape or shapely.Point(-74.06, 4.65)) if raw is None else raw
    return b"GP\x00" + bytes([flags]) + struct.pack("<i", 1) + envelope + wkb


@pytest.fixture
def package(tmp_path):
    def make(rows=(), *, table=TABLE, srs=1):
        path = tmp_path / "made.gpkg"
        path.unlink(missing_ok=True)
        database = sqlite3.connect(path)
        database.execute("PRAGMA synchronous = OFF")
        database.executescript(f"{CATALOGUE}{table}")
        database.execute("INSERT INTO gpkg_contents VALUES ('crimes', 'features')")
        database.execute("INSERT INTO gpkg_geometry_columns VALUES ('crimes', 'geom', ?)", (srs,))
        for row in rows:
            marks = ", ".join("?" * (len(row) + 1))
            database.execute(f"INSERT INTO crimes VALUES ({marks})", (None, *row))
        database.commit()
        database.close()
        return path.read_bytes()

    return make


def read(body, **options):
    return blocks_of(read_geopackage, body, **options)


def test_points_are_places_and_what_is_no_point_is_said_by_row(package):
    line = shapely.LineString([(0, 0), (1, 1)])
    rows = [(g, AT, "theft") for g in (blob(), None, blob(line), b"XX", blob(raw=b"\x01junk"))]
    (block,) = read(package(rows))
    assert block.columns["x"][0] == -74.06
    assert block.columns["y"][0] == 4.65
    assert block.no_place.keys() == {1, 2, 3, 4}
    assert "a LineString, only points" in block.no_place[2]
    assert block.plan.crs == "OGC:CRS84"
    assert block.plan.reading.layer == "crimes"


@pytest.mark.parametrize(
    ("flags", "envelope"), [(0x01, b""), (0x03, bytes(32)), (0x05, bytes(48)), (0x09, bytes(64))]
)
def test_a_geometry_is_found_behind_any_envelope(flags, envelope):
    assert _wkb(blob(flags=flags, envelope=envelope)) == shapely.to_wkb(shapely.Point(-74.06, 4.65))


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        b"",
        b"GP",
        blob(flags=0x11),
        blob(flags=0x21),
        blob(flags=0x0B),
        b"XX" + blob()[2:],
    ],
)
def test_empty_extended_and_foreign_geometries_are_none(value):
    assert _wkb(value) is None


@pytest.mark.parametrize(
    ("srs", "crs"), [(1, "OGC:CRS84"), (2, "EPSG:32618"), (3, None), (9, None)]
)
def test_the_crs_is_that_of_the_layer(package, srs, crs):
    assert read(package([(blob(), AT, "theft")], srs=srs))[0].plan.crs == crs


@pytest.mark.parametrize(
    ("at", "zone", "codes"),
    [
        (AT, None, ["wall_times"]),
        (f"{AT}Z", None, ["states_utc"]),
        (f"{AT}.000-05:00", None, ["states_utc"]),
        (f"{AT}Z", "UTC", []),
        (None, None, []),
    ],
)
def test_what_its_times_are_taken_for_is_said(package, at, zone, codes):
    (block,) = read(package([(blob(), at, "theft")]), zone=zone)
    said = [one.code for one in block.plan.reading.assumptions]
    assert [code for code in said if code in ("wall_times", "states_utc")] == codes


HOSTILE = {
    "a view": f"{TABLE.replace('crimes', 'real')}; CREATE VIEW crimes AS SELECT * FROM real",
    "a virtual table": "CREATE VIRTUAL TABLE crimes USING fts5(geom, occurred_at, category)",
    "generated columns": TABLE[:-1] + ", x TEXT GENERATED ALWAYS AS (upper(category)) VIRTUAL)",
    "missing": "SELECT 1",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_programs_of_the_file_are_not_run(package, what):
    with pytest.raises(InvalidInput, match=what):
        read(package(table=HOSTILE[what]))


def test_a_catalogue_that_is_a_view_is_no_catalogue(package, tmp_path):
    package([(blob(), AT, "theft")])
    database = sqlite3.connect(tmp_path / "made.gpkg")
    database.execute("ALTER TABLE gpkg_contents RENAME TO c")
    database.execute("CREATE VIEW gpkg_contents AS SELECT * FROM c")
    database.close()
    with pytest.raises(InvalidInput, match="gpkg_contents' is a view: only plain tables"):
        read((tmp_path / "made.gpkg").read_bytes())


def test_overlong_texts_spoil_their_row_and_bytes_are_no_text(package):
    rows = [(blob(), AT, "x" * 41), (blob(), AT, "theft")]
    (block,) = read(package(rows), limit_chars=40)
    assert block.broken == {0: "a text is longer than 40 characters"}
    assert list(block.columns["category"]) == [None, "theft"]


def test_rows_come_in_blocks(package):
    body = package([(blob(), AT, f"k{k}") for k in range(5)])
    blocks = read(body, n_rows=2)
    assert [block.n_rows for block in blocks] == [2, 2, 1]
    assert [row["category"] for row in rows_of(blocks)] == [f"k{k}" for k in range(5)]


def test_what_is_no_package_is_said_to_be_none(package):
    whole = package([(blob(), AT, "theft")])
    for body in (b"", b"PK\x03\x04", whole[:16], whole[: len(whole) // 2]):
        with pytest.raises((InvalidInput, LimitExceeded), match="gpkg file"):
            read(body)
