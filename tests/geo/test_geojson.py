"""Features of a collection, or the place of the one that is none."""

import pytest

from app.core.errors import InvalidInput
from app.geo.geojson import features_of


def test_sound_features_are_handed_on_as_they_are():
    features = [
        {"geometry": None, "properties": None},
        {"geometry": {"type": "Point"}, "properties": {"name": "a"}},
        {},
    ]
    assert features_of({"features": features}, "boundary") is features


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (None, "boundary: features must be a list"),
        ({}, "boundary: features must be a list"),
        ([{}, 5], "boundary: feature 1 must be an object"),
        ([{}, {}, {"geometry": [1]}], "boundary: geometry of feature 2 must be an object or null"),
        ([{"properties": "x"}], "boundary: properties of feature 0 must be an object or null"),
    ],
)
def test_anything_else_is_refused_by_its_place(features, said):
    with pytest.raises(InvalidInput) as refused:
        features_of({"features": features}, "boundary")
    assert (str(refused.value), refused.value.field) == (said, "boundary")
