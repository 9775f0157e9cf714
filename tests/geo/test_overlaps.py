"""Areas of anyone's shape: measured exactly, or refused before they cost anything."""

import numpy as np
import pytest
import shapely

from app.core.errors import LimitExceeded
from app.geo.grid import build_grid
from app.geo.overlaps import CellIndex
from app.geo.synthetic import synthetic_city


@pytest.fixture(scope="module")
def index():
    area = synthetic_city().area
    return CellIndex(area, build_grid(area, 250.0))


def star(n_corners, centre, radius_m, depth=0.6):
    """Spikes: nearly every cell of a ring is crossed by many sides."""
    angle = np.linspace(0, 2 * np.pi, n_corners, endpoint=False)
    reach = radius_m * np.where(np.arange(n_corners) % 2, 1.0, depth)
    xy = np.stack([centre[0] + reach * np.cos(angle), centre[1] + reach * np.sin(angle)], axis=1)
    return shapely.polygons(xy)


@pytest.mark.slow
def test_many_corners_are_measured_exactly(index):
    centre = index.area.polygon_m.centroid.coords[0]
    shapes = np.array([star(n, centre, 3000.0) for n in (12, 300, 12_000)])
    found = index.overlap(shapes)
    measured = np.bincount(found.target, found.area_km2, len(shapes))
    exact = shapely.area(shapely.intersection(shapes, index.area.polygon_m)) / 1e6
    np.testing.assert_allclose(measured, exact, rtol=1e-9)
    assert (found.area_km2 <= index.grid.area_km2[found.source] * (1 + 1e-9)).all()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["cover", "corners", "cross"])
def test_more_than_can_be_measured_is_refused(index, what):
    centre = index.area.polygon_m.centroid.coords[0]
    west, south, east, north = index.area.polygon_m.bounds
    shapes = {
        "cover": [shapely.box(west - 1, south - 1, east + 1, north + 1)] * 5_000,
        "corners": [star(200_000, centre, 60_000.0)] * 20,
        "cross": [star(90, centre, 3000.0)] * 900,
    }[what]
    with pytest.raises(LimitExceeded) as caught:
        index.overlap(np.array(shapes))
    assert what in caught.value.message
    assert caught.value.field == "areas"
