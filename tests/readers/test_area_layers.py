"""Layers of named areas are read right, refused, or told what to choose."""

import pytest
import shapely

from app.core.errors import InvalidInput, LimitExceeded
from app.readers.files.area_layers import area_features


def square(x: float, y: float, size: float = 0.1) -> dict:
    return shapely.geometry.mapping(shapely.box(x, y, x + size, y + size))


def layer(*features: tuple[dict, dict | None], **more) -> dict:
    made = [{"type": "Feature", "properties": p, "geometry": g} for p, g in features]
    return {"type": "FeatureCollection", "features": made, **more}


def read(given: dict, name_property: str | None = None) -> dict:
    found = list(area_features(given, name_property))
    return {f["properties"]["name"]: shapely.geometry.shape(f["geometry"]) for f in found}


def test_areas_of_one_name_are_joined_and_the_rest_is_left_out():
    found = read(
        layer(
            ({"Beat Num": 11.0, "kind": "x"}, square(0, 0)),
            ({"Beat Num": 12, "kind": "x"}, square(0.1, 0)),
            ({"Beat Num": 11.0, "kind": "x"}, square(0, 0.1)),
            ({"Beat Num": 13}, None),
            ({"Beat Num": 14}, {"type": "Polygon", "coordinates": []}),
        )
    )
    assert list(found) == ["11", "12"]
    assert found["11"].equals(shapely.box(0, 0, 0.1, 0.2))
    assert found["12"].equals(shapely.box(0.1, 0, 0.2, 0.1))


def test_a_crossed_outline_is_repaired():
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    shape = read(layer(({"name": "bow"}, bow)))["bow"]
    assert shape.is_valid
    assert shape.area == pytest.approx(0.5)


def test_metres_are_moved_to_degrees_where_the_file_names_them():
    box = shapely.geometry.mapping(shapely.box(500_000, 4_649_776, 501_000, 4_650_776))
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32617"}}
    west, south, *_ = read(layer(({"name": "a"}, box), crs=named))["a"].bounds
    assert (west, south) == pytest.approx((-81, 42), abs=0.01)


@pytest.mark.parametrize(
    ("given", "name_property", "says"),
    [
        ({"type": "Polygon"}, None, "FeatureCollection"),
        (layer(), None, "no area"),
        (layer(({"OBJECTID": 1}, square(0, 0))), None, "name_property, of: 'OBJECTID'"),
        (layer(({"name": "a"}, square(0, 0))), "beat", "not every area has the property 'beat'"),
        (layer(({"name": "a" * 201}, square(0, 0))), None, "at most 200 characters"),
        (layer(({"name": "a"}, square(5e5, 4e6, 1e3))), None, "degrees"),
        (
            layer(({"name": "a"}, {"type": "LineString", "coordinates": [[0, 0], [1, 1]]})),
            None,
            "Polygon",
        ),
    ],
)
def test_what_is_no_layer_is_refused(given, name_property, says):
    with pytest.raises(InvalidInput, match=says):
        read(given, name_property)


def test_too_many_areas_are_refused():
    with pytest.raises(LimitExceeded) as refused:
        read(layer(*[({"name": str(i)}, square(0, 0)) for i in range(5_001)]))
    assert (refused.value.limit, refused.value.asked) == (5_000, 5_001)
