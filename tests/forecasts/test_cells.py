"""Cells of replies: their geometry is the grid's, and regridding loses no mass."""

import json

import h3
import numpy as np
import pytest
import shapely

from app.core.caching.cache import BoundedCache
from app.core.errors import InvalidInput, LimitExceeded
from app.forecasts.cells import HexCells, SquareCells, rows_in_bbox
from app.forecasts.plan import Selector
from app.forecasts.regridding import CellRegridder
from app.geo.study_area import StudyArea, to_metres
from tests.support.simulated.made_forecasts import version_of


@pytest.fixture
def regridder():
    return CellRegridder(BoundedCache(1 << 24))


@pytest.fixture(scope="module")
def version():
    return version_of()


@pytest.fixture(scope="module")
def at_the_dateline():
    """Cells of 500 m on both sides of the 180th meridian, in a CRS of Fiji."""
    x_m, y_m = to_metres(np.array([180.0]), np.array([-17.0]), "EPSG:32701")
    box = shapely.box(x_m[0] - 2_000, y_m[0] - 1_000, x_m[0] + 2_000, y_m[0] + 1_000)
    return version_of(StudyArea(box, "EPSG:32701")).cells


def test_rings_are_closed_and_neighbours_share_their_corners_exactly(version):
    cells = version.cells
    np.testing.assert_array_equal(cells.corners[:, 0], cells.corners[:, 4])
    assert cells.ids[:2] == [0, 1]
    np.testing.assert_array_equal(cells.corners[0, [1, 2]], cells.corners[1, [0, 3]])
    x_m, y_m = to_metres(*cells.corners[:, :4].reshape(-1, 2).T, cells.crs)
    size = shapely.area(shapely.polygons(np.stack([x_m, y_m], -1).reshape(-1, 4, 2)))
    np.testing.assert_allclose(size, 250_000, rtol=1e-3)


@pytest.mark.parametrize("kind", ["square", "h3"])
def test_geometries_as_json_are_the_polygons(version, regridder, kind):
    cells, _ = regridder.of(version, Selector(grid=kind, resolution=8 if kind == "h3" else None))
    for text, polygon, bounds in zip(
        cells.geometry_json, cells.polygons_degrees(), cells.bounds, strict=True
    ):
        assert shapely.equals(shapely.from_geojson(text), polygon)
        assert shapely.bounds(polygon) == pytest.approx(bounds)


def test_over_the_dateline_each_ring_goes_on_and_each_geometry_is_cut(at_the_dateline):
    cells = at_the_dateline
    width = cells.bounds[:, 2] - cells.bounds[:, 0]
    assert width.max() < 0.01
    over = cells.bounds[:, 2] > 180
    assert 0 < over.sum() < len(cells)
    kinds = {json.loads(text)["type"] for text in cells.geometry_json}
    assert "Polygon" in kinds
    for text in cells.geometry_json:
        west, _, east, _ = shapely.from_geojson(text).bounds
        assert -180 <= west <= east <= 180


def test_the_globe_holds_all_cells_their_extent_too_and_elsewhere_is_none(version):
    cells = version.cells
    assert rows_in_bbox(cells, (-180, -90, 180, 90)).tolist() == list(range(11))
    assert rows_in_bbox(cells, cells.extent).tolist() == list(range(11))
    assert rows_in_bbox(cells, (0, 0, 1, 1)).tolist() == []


def test_a_box_takes_the_cells_that_it_touches(version):
    cells = version.cells
    west, south, east, north = cells.bounds[5]
    middle = ((west + east) / 2, (south + north) / 2)
    assert rows_in_bbox(cells, (*middle, *middle)).tolist() == [5]
    assert rows_in_bbox(cells, (west - 1e-4, middle[1], middle[0], middle[1])).tolist() == [4, 5]


@pytest.mark.parametrize("bbox", [(179.9, -18, -179.9, -16), (179.9, -18, 180, -16)])
def test_a_box_over_the_dateline_finds_both_sides(at_the_dateline, bbox):
    found = rows_in_bbox(at_the_dateline, bbox)
    east_of_it = at_the_dateline.bounds[:, 0] >= 180
    assert len(found) == (len(at_the_dateline) if bbox[2] < 0 else int((~east_of_it).sum()))


def test_a_box_beyond_the_dateline_finds_the_cells_that_go_on_over_it(at_the_dateline):
    found = rows_in_bbox(at_the_dateline, (-180, -18, -179.9, -16))
    assert found.tolist() == np.flatnonzero(at_the_dateline.bounds[:, 2] >= 180).tolist()
    assert 0 < len(found) < len(at_the_dateline)


@pytest.mark.parametrize(
    "wanted", [{"cell_size_m": 100.0}, {"cell_size_m": 330.0}, {"grid": "h3", "resolution": 8}]
)
def test_regridding_keeps_mass_and_areas(version, regridder, wanted):
    cells, regridding = regridder.of(version, Selector(**wanted))
    rng = np.random.default_rng(1)
    probability = rng.dirichlet(np.ones(len(version.grid)))
    moved = regridding.apply(probability)
    assert moved.sum() == pytest.approx(1, abs=1e-12)
    assert cells.area_km2.sum() == pytest.approx(version.area.area_km2, rel=1e-6)
    np.testing.assert_allclose(np.bincount(regridding.source, regridding.share), 1.0, rtol=1e-9)
    by_area = version.grid.area_km2 / version.grid.area_km2.sum()
    np.testing.assert_allclose(
        regridding.apply(by_area), cells.area_km2 / cells.area_km2.sum(), rtol=1e-5
    )


def test_means_lie_between_those_of_the_sources_and_weigh_by_probability(version, regridder):
    _, coarse = regridder.of(version, Selector(cell_size_m=2_000.0))
    probability, values = np.zeros(11), np.arange(11.0)
    probability[[2, 6]] = 0.25, 0.75
    mean = coarse.mean(values, probability)
    whole = mean[coarse.target[coarse.source == 2][0]]
    assert whole == pytest.approx(0.25 * 2 + 0.75 * 6)
    assert coarse.mean(values, np.zeros(11)).tolist() == [0.0] * len(mean)


def test_the_versions_own_size_needs_no_regridding_and_others_are_cached(version, regridder):
    assert regridder.of(version, Selector(cell_size_m=500.0)) == (version.cells, None)
    first = regridder.of(version, Selector(cell_size_m=250.0))
    assert regridder.of(version, Selector(cell_size_m=250.0)) is first
    assert isinstance(first[0], SquareCells)
    hexagons, _ = regridder.of(version, Selector(grid="h3"))
    assert isinstance(hexagons, HexCells)
    assert {h3.get_resolution(one) for one in hexagons.ids} == {9}


@pytest.mark.parametrize(
    ("wanted", "field"),
    [({"grid": "h3", "cell_size_m": 500.0}, "cell_size_m"), ({"resolution": 8}, "resolution")],
)
def test_a_size_of_the_other_kind_of_grid_is_refused(version, regridder, wanted, field):
    with pytest.raises(InvalidInput, match="belongs to grid=") as refused:
        regridder.of(version, Selector(**wanted))
    assert refused.value.field == field


def test_estimates_are_near_the_cells_that_are_made(version, regridder):
    for wanted in ({"cell_size_m": 100.0}, {"grid": "h3", "resolution": 10}):
        selector = Selector(**wanted)
        made = len(regridder.of(version, selector)[0])
        assert made / 2 < regridder.estimate(version, selector) <= 1.1 * made
    box = tuple(version.cells.bounds[5])
    assert regridder.estimate(version, Selector(cell_size_m=100.0, bbox=box)) <= 9 * 25
    with pytest.raises(LimitExceeded, match="cell_size_m is 50"):
        regridder.estimate(version, Selector(cell_size_m=50.0))
