"""Longitudes are continuous for computing and cut at the 180th meridian in replies."""

import numpy as np
import pytest
import shapely

from app.geo.antimeridian import continuous, cut, cut_each, in_bbox, middle_longitude


def test_a_shape_over_the_meridian_is_cut_into_parts_within_the_globe():
    found = cut(shapely.box(179.9, -17, 180.1, -16))
    assert found.area == pytest.approx(0.2)
    assert sorted(part.bounds[::2] for part in found.geoms) == [
        (-180.0, pytest.approx(-179.9)),
        (pytest.approx(179.9), 180.0),
    ]
    other = shapely.box(-84.5, 39, -84.4, 39.1)
    assert cut_each(np.array([other]))[0] is other


def test_a_line_over_the_meridian_stays_a_line():
    found = cut(shapely.LineString([(179.9, -17.0), (180.1, -17.0)]))
    assert found.geom_type == "MultiLineString"
    assert found.length == pytest.approx(0.2)
    assert found.bounds == pytest.approx((-180.0, -17.0, 180.0, -17.0))


def test_strays_far_away_do_not_move_the_middle():
    assert middle_longitude(np.array([-84.5] * 50 + [120.0])) == -84.5
    assert abs(middle_longitude(np.array([179.99, -179.99] * 10 + [10.0]))) > 179.9


def test_longitudes_of_other_places_are_unchanged():
    longitude = np.random.default_rng(0).uniform(-80, -79, 100)
    assert np.array_equal(continuous(longitude), longitude)


def test_a_box_may_lie_over_the_meridian():
    longitude, latitude = np.array([179.5, -179.5, 0.0]), np.array([0.0, 0.0, 0.0])
    assert in_bbox(longitude, latitude, (179, -1, -179, 1)).tolist() == [True, True, False]
    assert in_bbox(longitude, latitude, (-1, -1, 1, 1)).tolist() == [False, False, True]
