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
from app.readers.blocks import ReadOptions
from app.readers.files import streets
from app.readers.files.streets import street_items
from app.readers.isolated import isolated_items

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


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def field(number, value):
    """A field of a protocol buffer: a whole number, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def signed(n):
    return n << 1 if n >= 0 else (-n << 1) - 1


def packed(values):
    return b"".join(map(varint, values))


def blob(kind, content):
    body = field(1, content) + field(2, len(content))
    head = field(1, kind) + field(3, len(body))
    return len(head).to_bytes(4, "big") + head + body


def osm_extract():
    """An extract of OpenStreetMap: a street, a path, a slip road and a river, of two nodes each."""
    tags = [("highway", "residential"), ("highway", "path"), ("highway", "motorway_link")]
    ways = [(*tag, f"Way {i}") for i, tag in enumerate([*tags, ("waterway", "river")], 1)]
    texts = ["", "name", *dict.fromkeys(text for way in ways for text in way)]
    nodes = [(i, 436_000_000 + 5_000 * i, -793_500_000 + 7_000 * i) for i in range(1, 9)]
    group = b"".join(
        field(1, field(1, signed(i)) + field(8, signed(lat)) + field(9, signed(lon)))
        for i, lat, lon in nodes
    )
    for i, (key, value, name) in enumerate(ways, 1):
        keys = packed([texts.index(key), 1])
        values = packed([texts.index(value), texts.index(name)])
        refs = packed([signed(2 * i - 1), signed(1)])
        way = field(1, i) + field(2, keys) + field(3, values) + field(8, refs)
        group += field(3, way)
    table = field(1, b"".join(field(1, text.encode()) for text in texts))
    header = field(4, b"OsmSchema-V0.6")
    return blob(b"OSMHeader", header) + blob(b"OSMData", table + field(2, group))


def test_an_extract_of_openstreetmap_gives_its_streets():
    lines, names, left_out = read(osm_extract())
    assert sorted(names) == ["Way 1", "Way 3"]
    assert left_out == {"not_lines": 0, "not_streets": 2, "outside": 0}
    way = lines[names.index("Way 1")]
    np.testing.assert_allclose(way.coords, [(-79.3493, 43.6005), (-79.3486, 43.6010)], atol=1e-6)


OSM_XML = """<?xml version="1.0" encoding="UTF-8"?>
<osm version="0.6" generator="drawn">
  <node id="1" lat="43.6005" lon="-79.3493"/><node id="2" lat="43.6010" lon="-79.3486"/>
  <node id="3" lat="43.6015" lon="-79.3479"/><node id="4" lat="43.6020" lon="-79.3472">
    <tag k="highway" v="crossing"/></node>
  <way id="1"><nd ref="1"/><nd ref="2"/><nd ref="3"/>
    <tag k="highway" v="residential"/><tag k="name" v="Caf\u00e9 Street"/></way>
  <way id="2"><nd ref="2"/><nd ref="4"/><tag k="highway" v="tertiary_link"/></way>
  <way id="3"><nd ref="1"/><nd ref="4"/><tag k="highway" v="footway"/></way>
</osm>
"""


@pytest.mark.parametrize("before", ["", "\ufeff", "\n"])
def test_openstreetmap_as_xml_gives_its_streets(before):
    content = before + (OSM_XML.partition("\n")[2] if before == "\n" else OSM_XML)
    lines, names, left_out = read(content.encode())
    assert sorted(names, key=str) == ["Caf\u00e9 Street", None]
    assert left_out == {"not_lines": 0, "not_streets": 1, "outside": 0}
    street = lines[names.index("Caf\u00e9 Street")]
    expected = [(-79.3493, 43.6005), (-79.3486, 43.6010), (-79.3479, 43.6015)]
    np.testing.assert_allclose(street.coords, expected, atol=1e-6)


def test_openstreetmap_is_read_in_the_isolated_process():
    for content in (OSM_XML.encode(), osm_extract()):
        *blocks, left_out = isolated_items("streets", [content], ReadOptions(), ASKED)
        assert [*blocks, left_out] == list(street_items(io.BytesIO(content), ASKED))
        assert sum(len(block["names"]) for block in blocks) == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "unsupported_media_type"),
        (b"name,geometry\na,b\n", "unsupported_media_type"),
        (b'<?xml version="1.0"?><osm version="0.6"/>', None),
        (b'<?xml version="1.0"?><!DOCTYPE osm []><osm version="0.6"/>', "unsupported_media_type"),
        (b"<gpx/>", "unsupported_media_type"),
        (OSM_XML.encode()[:400], None),
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
