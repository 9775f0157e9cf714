"""Features of GeoJSON and Esri JSON become rows; only points are places, and CRSs are known or refused."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidInput
from app.readers.columns.mapping import ColumnMapping
from app.readers.files.features import Features, Placeless, is_feature
from app.readers.limits import Refused
from app.readers.reading import FEATURE_ID

PROPERTIES = st.dictionaries(
    st.sampled_from(["when", "kind", "n"]), st.one_of(st.none(), st.integers(), st.text())
)
DEGREES = st.floats(-180, 180)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["type", "geometry", "properties", "attributes", "coordinates", "x", "y", "id",
                             "crs", "name", "code", "wkid", "latestWkid"]), inner, max_size=4)),
    max_leaves=12,
)  # fmt: skip


def point(lon, lat):
    return {"type": "Point", "coordinates": [lon, lat]}


@given(PROPERTIES, DEGREES, DEGREES)
def test_a_point_is_a_row_with_its_place(properties, lon, lat):
    feature = {"type": "Feature", "geometry": point(lon, lat), "properties": properties, "id": 7}
    expected = {**properties, "longitude": lon, "latitude": lat}
    assert is_feature(feature)
    assert Features().row(feature) == {**expected, FEATURE_ID: "7"}
    esri = {"geometry": {"x": lon, "y": lat}, "attributes": properties}
    assert is_feature(esri)
    assert Features("esri-json").row(esri) == expected


@given(JSON)
def test_no_object_fails_as_a_feature(item):
    row = Features(dates=("n",)).row(item)
    assert isinstance(row, Placeless | Refused | dict) or row is item


@given(JSON, st.booleans())
def test_no_head_fails_but_by_name(value, is_esri):
    head = json.dumps({"spatialReference" if is_esri else "crs": value})
    try:
        crs = Features.of_head(head, has_crs=False).crs
    except InvalidInput as error:
        crs = f"EPSG:{error.code}"
    assert crs is None or crs.startswith("EPSG:")
    assert Features.of_head(head, has_crs=True).crs is None


@pytest.mark.parametrize(
    ("geometry", "why"),
    [
        (None, "null"),
        ([1, 2], "no object"),
        ({"type": "Polygon", "coordinates": []}, "a Polygon"),
        ({"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}, "2 points"),
        ({"type": "Point", "coordinates": [1]}, "without coordinates"),
        ({"type": "Pint", "coordinates": [1, 2]}, "unknown kind"),
    ],
)
def test_what_is_no_point_has_no_place_and_says_why(geometry, why):
    feature = {"type": "Feature", "geometry": geometry, "properties": {"longitude": 5.0, "n": 1}}
    row = Features().row(feature)
    assert why in row.why
    assert row.row == {"longitude": None, "latitude": None, "n": 1}
    assert Features().row(feature, needs_place=False) == {"longitude": 5.0, "n": 1}


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), st.booleans())
def test_dates_of_esri_are_instants_with_and_without_geometry(moment, has_geometry):
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    features = Features("esri-json", dates=("when",))
    item = {"attributes": {"when": round(moment.timestamp() * 1000)}}
    geometry = {"geometry": {"x": 1, "y": 2}} if has_geometry else {}
    row = features.row({**item, **geometry}, needs_place=False)
    assert datetime.fromisoformat(row["when"]) == moment


@pytest.mark.parametrize(
    ("named", "crs"),
    [
        ({"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}, None),
        ({"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::25832"}}, "EPSG:25832"),
        ({"type": "name", "properties": {"name": "EPSG:4326"}}, None),
        ({"type": "EPSG", "properties": {"code": 2263}}, "EPSG:2263"),
        (None, None),
    ],
)
def test_the_crs_of_the_head_is_read_and_one_behind_is_not_missed(named, crs):
    head = json.dumps({"type": "FeatureCollection", "crs": named, "features": 0})
    assert Features.of_head(head, has_crs=False).crs == crs
    late = Features.of_head("{", has_crs=False)
    if crs is None:
        late.check_tail(head, has_crs=False)
        return
    late.check_tail(head, has_crs=True)
    with pytest.raises(InvalidInput) as caught:
        late.check_tail(head, has_crs=False)
    assert (caught.value.code, caught.value.params) == ("late_crs", {"crs": crs})


def test_web_mercator_of_esri_is_known_by_its_old_number():
    head = '{"spatialReference": {"wkid": 102100}, "fields": [{"name": "D", "type": "esriFieldTypeDate"}]'
    found = Features.of_head(head, has_crs=False)
    assert (found.format, found.crs, found.dates) == ("esri-json", "EPSG:3857", ("D",))


def test_columns_that_differ_from_the_geometry_are_counted():
    features = Features()
    for lon in (1.0, 1.5, 1.0002, None, "x"):
        features.row({"type": "Feature", "geometry": point(1.0, 2.0), "properties": {"lon": lon}})
    assert [(one.code, one.params["n"]) for one in features.assumptions()] == [
        ("geometry_taken", 1)
    ]


def test_the_geometry_is_the_place_unless_the_caller_names_another():
    features, header = Features(), ["longitude", "latitude", "X"]
    placed = features.mapping(ColumnMapping({"category": "X"}), header).columns
    assert placed == {"category": "X", "longitude": "longitude", "latitude": "latitude"}
    own = ColumnMapping({"x": "X", "y": "latitude"})
    assert features.mapping(own, header) == own
