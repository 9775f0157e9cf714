"""H3 cells cover a study area, and never more of them are cut than allowed."""

import h3
import pytest
import shapely

from app.core.errors import LimitExceeded
from app.geo.boundaries import study_area_from_geojson
from app.geo.hexagons import (
    check_resolution,
    h3_cells_over,
    h3_centres,
    h3_polygons_degrees,
    projected,
)
from app.geo.synthetic import synthetic_city

DONUT = {
    "type": "Polygon",
    "coordinates": [
        [[10, 50], [10.2, 50], [10.2, 50.1], [10, 50.1], [10, 50]],
        [[10.05, 50.03], [10.15, 50.03], [10.15, 50.07], [10.05, 50.07], [10.05, 50.03]],
    ],
}


@pytest.mark.parametrize("resolution", [6, 7, 8, 9])
@pytest.mark.parametrize("boundary", [DONUT, synthetic_city().area.to_geojson()])
def test_the_cells_cover_the_whole_area(boundary, resolution):
    area = study_area_from_geojson(boundary)
    ids = h3_cells_over(area, resolution)
    assert ids == sorted(set(ids))
    polygons_m = projected(h3_polygons_degrees(ids), area.crs)
    bare_m2 = shapely.area(area.polygon_m.difference(shapely.union_all(polygons_m)))
    assert bare_m2 < 1e-6 * shapely.area(area.polygon_m)
    edge_m = h3.average_hexagon_edge_length(resolution, unit="m")
    assert shapely.distance(polygons_m, area.polygon_m).max() < edge_m


def test_centres_lie_in_their_cells():
    ids = h3_cells_over(synthetic_city().area, 8)
    longitude, latitude = h3_centres(ids)
    assert shapely.contains_xy(h3_polygons_degrees(ids), longitude, latitude).all()
    assert [h3.latlng_to_cell(y, x, 8) for x, y in zip(longitude, latitude, strict=True)] == ids
    assert [len(a) for a in h3_centres([])] == [0, 0]


@pytest.mark.parametrize("resolution", [-1, 3, 11, 15, 10**9])
def test_a_resolution_outside_4_to_10_is_refused(resolution):
    with pytest.raises(LimitExceeded, match=rf"resolution is {resolution}\b"):
        check_resolution(resolution, 1.0)


def test_too_many_cells_are_refused_before_any_is_cut():
    check_resolution(10, 2_000.0)
    with pytest.raises(LimitExceeded, match="the limit is 300000"):
        check_resolution(10, 1e6)
