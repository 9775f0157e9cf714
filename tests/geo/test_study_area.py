"""Outlines that cross themselves: a slip is repaired, a tangle is rejected before it costs anything."""

import numpy as np
import pytest
import shapely

from app.core.errors import InvalidInput
from app.geo.boundaries import study_area_from_geojson
from app.geo.study_area import _registered_zone, choose_crs, is_pathological, make_valid

TANGLE = np.random.default_rng(0).random((300, 2)) * 0.2 + [-74.1, 4.6]
BOW_TIE = np.array([[0, 0], [1, 1], [1, 0], [0, 1]]) * 0.1 + [-74.1, 4.6]


def _geojson(xy):
    ring = [*xy.tolist(), xy[0].tolist()]
    return {"type": "Polygon", "coordinates": [ring]}


def test_a_tangled_boundary_is_refused():
    with pytest.raises(InvalidInput, match="cross each other too often"):
        study_area_from_geojson(_geojson(TANGLE))


def test_a_bow_tie_keeps_both_its_wings():
    area = study_area_from_geojson(_geojson(BOW_TIE))
    square = study_area_from_geojson(_geojson(BOW_TIE[[0, 2, 1, 3]]))
    assert area.polygon_m.area / square.polygon_m.area == pytest.approx(0.5, rel=0.01)


def test_mending_leaves_what_is_valid_and_makes_valid_what_is_not():
    square = shapely.box(0, 0, 1, 1)
    assert make_valid(square).equals(square)
    assert shapely.is_valid(make_valid(shapely.Polygon(TANGLE[:40])))
    assert not is_pathological(square)


@pytest.mark.slow
@pytest.mark.parametrize("west", [-180, -174, -6, 0, 6, 30, 174])
def test_the_zone_of_a_place_is_the_registered_one(west):
    for longitude in (west, west + 1e-9, west + 3, west + 6 - 1e-9):
        latitude = 83.9 if west % 4 else -79.9
        assert choose_crs(longitude, latitude) == _registered_zone(longitude, latitude)


@pytest.mark.parametrize("latitude", [84.1, -80.1, 90.0])
def test_near_the_poles_there_is_no_zone(latitude):
    with pytest.raises(InvalidInput, match="no UTM zone"):
        choose_crs(3.0, latitude)
