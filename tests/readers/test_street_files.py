"""Files of streets in each format give the same lines; what is none of these is refused."""

from __future__ import annotations

import io
import itertools
import json
import zipfile

import geopandas as gpd
import numpy as np
import pytest
import shapely

from app.core.errors import InvalidInput, LimitExceeded
from app.readers.files import streets
from app.readers.files.streets import street_items

BOX = shapely.box(-79.40, 43.60, -79.30, 43.70)
ASKED = {"boundary": json.loads(shapely.to_geojson(BOX)), "crs": "EPSG:32617"}
LINES = [
    shapely.LineString([(-79.39, 43.61), (-79.35, 43.65)]),
    shapely.MultiLineString(
        [[(-79.35, 43.62), (-79.25, 43.62)], [(-79.32, 43.69), (-79.31, 43.69)]]
    ),
    shapely.LineString([(-79.2, 43.61), (-79.1, 43.65)]),
    shapely.Point(-79.35, 43.65),
    shapely.LineString([(-79.38, 43.61), (-79.36, 43.61)]),
]
FRAME = gpd.GeoDataFrame(
    {
        "OBJECTID": range(5),
        "Name": ["Front Street", " King Street ", "Far", "Stop", None],
        "highway": ["primary", "residential", "primary", "bus_stop", "footway"],
    },
    geometry=LINES,
    crs="EPSG:4326",
)


def written(folder, suffix, frame=FRAME):
    if suffix == ".zip":
        lines = frame[shapely.get_dimensions(frame.geometry.values) == 1]
        lines.to_crs("EPSG:26917").to_file(folder / "roads.shp")
        with zipfile.ZipFile(folder / "roads.zip", "w") as archive:
            for part in folder.glob("roads.*"):
                if part.suffix != ".zip":
                    archive.write(part, f"unpacked/{part.name}")
        return (folder / "roads.zip").read_bytes()
    path = folder / f"roads{suffix}"
    frame.to_file(path, engine="pyogrio")
    return path.read_bytes()


def read(content):
    *blocks, left_out = street_items(io.BytesIO(content), ASKED)
    lines, names = [], []
    for block in blocks:
        ends = np.cumsum([0, *block["sizes"]])
        degrees = np.reshape(block["places"], (-1, 2)) / 1e7
        lines += [shapely.LineString(degrees[a:b]) for a, b in itertools.pairwise(ends)]
        names += block["names"]
    return lines, names, left_out


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".zip", ".fgb"])
def test_every_format_gives_the_streets_inside_the_study_area(tmp_path, suffix):
    lines, names, left_out = read(written(tmp_path, suffix))
    assert sorted(names) == ["Front Street", "King Street", "King Street"]
    by_name = sorted(zip(names, (line.bounds for line in lines), strict=True))
    expected = [
        (-79.39, 43.61, -79.35, 43.65),
        (-79.35, 43.62, -79.30, 43.62),
        (-79.32, 43.69, -79.31, 43.69),
    ]
    np.testing.assert_allclose([bounds for _, bounds in by_name], expected, atol=2e-5)
    points = 0 if suffix == ".zip" else 1
    assert left_out == {"not_lines": points, "not_streets": 1, "outside": 1}


def test_without_kinds_of_roads_every_line_is_a_street(tmp_path):
    frame = FRAME.drop(columns=["highway", "Name"])
    _, names, left_out = read(written(tmp_path, ".geojson", frame))
    assert names == [None] * 4
    assert left_out["not_streets"] == 0


def osm_extract():
    """A file of OpenStreetMap by hand: two roads and a path."""
    nodes = "".join(
        f'<node id="{i}" lat="{43.62 + i / 1000}" lon="-79.35" version="1"/>' for i in range(1, 5)
    )
    ways = "".join(
        f'<way id="{i}" version="1"><nd ref="{i}"/><nd ref="{i + 1}"/>'
        f'<tag k="highway" v="{kind}"/><tag k="name" v="Way {i}"/></way>'
        for i, kind in enumerate(("residential", "path", "motorway_link"), 1)
    )
    return f'<?xml version="1.0"?><osm version="0.6">{nodes}{ways}</osm>'.encode()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "unsupported_media_type"),
        (b"name,geometry\na,b\n", "unsupported_media_type"),
        (osm_extract(), "unsupported_media_type"),
        (b"<OGRVRTDataSource/>", "unsupported_media_type"),
        (b'{"type":"FeatureCollection","features":[]}', None),
        (b'{"type":"FeatureCollection","features":[{"type":"Feature"', None),
        (b"SQLite format 3\x00" + bytes(200), None),
        (b"\x00\x00\x00\x0dOSMHeader" + bytes(64), None),
        (b"fgb\x03fgb\x00" + bytes(64), None),
    ],
)
def test_other_and_damaged_files_are_refused(content, code):
    with pytest.raises(InvalidInput) as refused:
        read(content)
    assert code is None or refused.value.code == code


def test_a_shapefile_must_be_one(tmp_path):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("roads.shp", "<OGRVRTDataSource/>")
    with pytest.raises(InvalidInput, match="not a shapefile"):
        read(archive.getvalue())


def test_limits_name_themselves(tmp_path, monkeypatch):
    monkeypatch.setattr(streets, "MAX_VERTICES", 3)
    with pytest.raises(LimitExceeded, match=r"8 vertices .* the limit is 3"):
        read(written(tmp_path, ".gpkg"))
