"""Locations in one column, nested JSON, GeoJSON of GIS programs, arrays within objects (cases 28, 31)."""

import json

import pytest

AT = {"datetime": "2026-03-01T10:00:00", "type": "Theft"}
HERE = (-84.51, 39.1)


def places(door):
    return [(round(one["longitude"], 5), round(one["latitude"], 5)) for one in door.stored()]


def assumed(sent):
    return {one["code"] for one in sent.body["read"]["assumptions"]}


TEXTS = {
    "WKT": "POINT (-84.51 39.10)",
    "EWKT with height": "SRID=4326;POINT Z(-84.51 39.1 190)",
    "pair in brackets": "(39.10, -84.51)",
    "pair": "39.10, -84.51",
    "behind an address": "1200 Main St\nCincinnati, OH\n(39.10, -84.51)",
    "WKB": "0101000020E6100000713D0AD7A32055C0CDCCCCCCCC8C4340",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Location", "the_geom", "geocoded_column", "Where"])
@pytest.mark.parametrize("text", TEXTS)
def test_one_column_holds_both_coordinates(door, text, name):
    mapped = {"columns": [f"location={name}"]} if name == "Where" else {}
    value = TEXTS[text]
    sent = door.send(
        "a.csv", f'datetime,type,{name}\n2026-03-01T10:00:00,Theft,"{value}"\n', **mapped
    )
    assert sent.body["accepted"] == 1, sent
    assert places(door) == [HERE]
    assert sent.body["read"]["columns"]["location"] == name
    assert ("pair_order" in assumed(sent)) is ("pair" in text or "address" in text)


def test_a_pair_whose_first_number_is_beyond_90_begins_with_the_longitude(door):
    sent = door.send("a.csv", 'datetime,Location\n2026-03-01T10:00:00,"(-97.7, 30.2)"\n')
    assert places(door) == [(-97.7, 30.2)]
    (said,) = [one for one in sent.body["read"]["assumptions"] if one["code"] == "pair_order"]
    assert said["params"]["order"] == "longitude, latitude"


def test_the_caller_says_that_the_longitude_is_first(door):
    body = 'datetime,Location\n2026-03-01T10:00:00,"-84.51 39.10"\n'
    door.send("a.csv", body, columns=["lonlat=Location"])
    assert places(door) == [HERE]


def test_an_address_is_no_place(door):
    sent = door.send("a.csv", "datetime,Location\n2026-03-01T10:00:00,1200 Main St\n")
    assert sent.status == 422
    assert "longitude" in sent.error
    assert "1200 Main St" in sent.error


def test_rows_without_a_place_are_named(door):
    body = "datetime,Location\n2026-03-01T10:00:00,POINT (-84.51 39.1)\n2026-03-01T11:00:00,\n"
    sent = door.send("a.csv", body)
    assert sent.body["rejected_by_code"] == {"no_place": 1}
    assert sent.body["errors"][0]["row"] == 2


VALUES = {
    "object": {"location": {"latitude": "39.10", "longitude": "-84.51"}},
    "GeoJSON point": {"geocoded_column": {"type": "Point", "coordinates": list(HERE)}},
    "long row": {
        "location": {"latitude": 39.1, "longitude": -84.51},
        "note": "x" * 4000,
        "more": "y" * 900,
    },
}


@pytest.mark.parametrize("value", VALUES)
def test_objects_of_a_place_are_read(door, value):
    sent = door.send("a.json", json.dumps([{**AT, **VALUES[value]}]))
    assert sent.body["accepted"] == 1, sent
    assert places(door) == [HERE]


@pytest.mark.parametrize("suffix", ["json", "ndjson"])
def test_nested_keys_are_mapped(door, suffix):
    row = {"when": {"at": AT["datetime"]}, "geometry": {"x": -84.51, "y": 39.1}, "what": "Theft"}
    text = json.dumps(row) if suffix == "ndjson" else json.dumps([row])
    columns = [
        "occurred_at=when.at",
        "longitude=geometry.x",
        "latitude=geometry.y",
        "category=what",
    ]
    sent = door.send(f"a.{suffix}", text, columns=columns)
    assert sent.body["accepted"] == 1, sent
    assert places(door) == [HERE]
    assert sent.body["read"]["columns"]["longitude"] == "geometry.x"


def feature(geometry, **properties):
    return {"type": "Feature", "properties": {**AT, **properties}, "geometry": geometry}


def collection(*features, **members):
    return json.dumps({"type": "FeatureCollection", **members, "features": list(features)})


POINT = {"type": "Point", "coordinates": list(HERE)}
CRS = {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32616"}}}
METRES = {"type": "Point", "coordinates": [715323.6466353766, 4330825.651176884]}


def test_geojson_of_a_gis_is_read_feature_by_feature(door):
    kinds = [
        None,
        {"type": "MultiPoint", "coordinates": [[-84.51, 39.1]]},
        {"type": "Point", "coordinates": [-84.52, 39.1, 190.0]},
        {"type": "Point", "coordinates": []},
        {"type": "LineString", "coordinates": [[-84.51, 39.1], [-84.52, 39.1]]},
        {"type": "MultiPoint", "coordinates": [[-84.51, 39.1], [-84.52, 39.1]]},
        {
            "type": "Polygon",
            "coordinates": [[[-84.51, 39.1], [-84.52, 39.1], [-84.5, 39], [-84.51, 39.1]]],
        },
    ]
    sent = door.send("odd.geojson", collection(*map(feature, kinds)))
    assert places(door) == [(-84.51, 39.1), (-84.52, 39.1)]
    assert sent.body["rejected_by_code"] == {"no_place": 5}
    said = {error["row"]: error["message"] for error in sent.body["errors"]}
    assert "null" in said[1]
    assert "without coordinates" in said[4]
    assert "LineString" in said[5]
    assert "2 points" in said[6]
    assert "Polygon" in said[7]


def test_properties_that_disagree_with_the_geometry_are_said(door):
    sent = door.send(
        "a.geojson", collection(feature(POINT, latitude=0, longitude=0), feature(POINT))
    )
    assert places(door) == [HERE, HERE]
    assert "geometry_taken" in assumed(sent)
    sent = door.send("a.geojson", collection(feature(POINT, lat=39.1, lon=-84.51)))
    assert "geometry_taken" not in assumed(sent)


def test_the_crs_member_is_obeyed(door):
    sent = door.send("a.geojson", collection(feature(METRES), **CRS))
    assert places(door) == [HERE]
    assert sent.body["read"]["crs"] == "EPSG:32616"


def test_degrees_named_as_such_stay(door):
    crs = {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}}
    door.send("a.geojson", collection(feature(POINT), **crs))
    assert places(door) == [HERE]


def test_an_unknown_crs_is_refused_by_its_name(door):
    crs = {"crs": {"type": "name", "properties": {"name": "urn:city:grid"}}}
    sent = door.send("a.geojson", collection(feature(METRES), **crs))
    assert sent.status == 422
    assert "urn:city:grid" in sent.error
    assert "crs=EPSG" in sent.error
    assert (
        door.send("a.geojson", collection(feature(METRES), **crs), crs="EPSG:32616").status == 200
    )
    assert places(door) == [HERE]


def test_a_crs_after_the_features_is_refused(door):
    text = json.dumps({"type": "FeatureCollection", "features": [feature(METRES)], **CRS})
    sent = door.send("a.geojson", text)
    assert sent.status == 422
    assert "crs=EPSG:32616" in sent.error
    door.send("a.geojson", text, crs="EPSG:32616")
    assert places(door) == [HERE]


ESRI = {
    "attributes": {"OBJECTID": 1, "when": 1767225600000, "type": "Theft"},
    "geometry": {"x": -84.51, "y": 39.1},
}
DATES = {
    "fields": [
        {"name": "when", "type": "esriFieldTypeDate"},
        {"name": "type", "type": "esriFieldTypeString"},
    ]
}


def test_esri_json_is_read(door):
    head = {"geometryType": "esriGeometryPoint", "spatialReference": {"wkid": 4326}, **DATES}
    sent = door.send(
        "esri.json", json.dumps({**head, "features": [ESRI]}), columns=["occurred_at=when"]
    )
    assert sent.body["accepted"] == 1, sent
    assert places(door) == [HERE]
    assert door.hours() == ["2025-12-31T19:00"]
    assert sent.body["read"]["format"] == "esri-json"
    assert "esri_utc" in assumed(sent)


def test_esri_json_in_metres_is_projected(door):
    moved = {**ESRI, "geometry": {"x": -9407610.3, "y": 4735080.9}}
    head = {"spatialReference": {"wkid": 102100, "latestWkid": 3857}, **DATES}
    door.send("esri.json", json.dumps({**head, "features": [moved]}), columns=["occurred_at=when"])
    ((longitude, latitude),) = places(door)
    assert (longitude, latitude) == pytest.approx((-84.51, 39.09355), abs=1e-4)


def test_esri_numbers_without_fields_are_no_times(door):
    sent = door.send("esri.json", json.dumps({"features": [ESRI]}), columns=["occurred_at=when"])
    assert sent.body["rejected_by_code"] == {"epoch_not_accepted": 1}


ROW = {**AT, "longitude": -84.51, "latitude": 39.1}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data", {"data": [ROW]}),
        ("results", {"count": 1, "next": None, "results": [ROW]}),
        (
            "result.records",
            {"help": "x", "success": True, "result": {"fields": [{"id": "a"}], "records": [ROW]}},
        ),
        ("crime_reports", {"meta": {"columns": [{"name": "a"}]}, "crime_reports": [ROW]}),
    ],
)
def test_an_array_within_an_object_is_found(door, name, value):
    sent = door.send("a.json", json.dumps(value))
    assert sent.body["accepted"] == 1, sent
    assert places(door) == [HERE]
    said = [
        one["params"] for one in sent.body["read"]["assumptions"] if one["code"] == "array_taken"
    ]
    assert said == [{"name": name}]


def test_an_object_without_rows_is_refused_naming_its_arrays(door):
    sent = door.send(
        "a.json", json.dumps({"meta": {"columns": [{"name": "a"}]}, "points": [[1, 2]]})
    )
    assert sent.status == 422
    assert "meta.columns" in sent.error
    assert "points" in sent.error


def test_features_line_by_line_are_read(door):
    lines = "\n".join(json.dumps(one) for one in (feature(POINT), feature(None)))
    sent = door.send("a.ndjson", lines)
    assert places(door) == [HERE]
    assert sent.body["rejected_by_code"] == {"no_place": 1}
