"""Tilings: every point has one cell of the right size, and the best one follows the streets."""

import numpy as np
import pytest
import shapely

from models.contest import tilings
from models.contest.rules import CELL_KM2, MIN_SIDE_M, SIDE_M, n_cells
from models.contest.tilings import Tiling, best_tiling, cell_sums, plain_squares

BRICKS = Tiling(38.1, SIDE_M**2 / 38.1, 0.4, 5e5, 4e6, 0.3, np.array([0.0, 0.5, 0.25, 0.75]), -2)


@pytest.fixture
def points():
    rng = np.random.default_rng(3)
    return 5e5 + rng.normal(0, 400, 500), 4e6 + rng.normal(0, 400, 500)


@pytest.mark.parametrize("tiling", [plain_squares(), BRICKS])
def test_a_point_lies_in_its_cell_alone(tiling, points):
    x_m, y_m = points
    ids = tiling.cell_of(x_m, y_m)
    cells = np.unique(ids)
    shapes = shapely.polygons(tiling.corners_m(cells))
    assert np.allclose(shapely.area(shapes) / 1e6, CELL_KM2)
    assert np.allclose(tiling.cell_km2, CELL_KM2)
    assert all(shapely.is_ccw(shapely.get_exterior_ring(one)) for one in shapes)
    found = [cells[shapely.contains_xy(shapes, x, y)] for x, y in zip(x_m, y_m, strict=True)]
    assert [one.tolist() for one in found] == [[cell] for cell in ids.tolist()]


def test_cells_do_not_overlap(points):
    shapes = shapely.polygons(BRICKS.corners_m(np.unique(BRICKS.cell_of(*points))))
    assert shapely.union_all(shapes).area == pytest.approx(shapely.area(shapes).sum())


def test_rows_are_shifted_each_for_itself():
    row = tilings.cell_sums(BRICKS.cell_of(*(np.full(1, v) for v in (5e5, 4e6))), np.ones(1))[0]
    (corner,) = BRICKS.corners_m(row)[:, 0]
    c, s = np.cos(0.4), np.sin(0.4)
    along = ((corner[0] - 5e5) * c + (corner[1] - 4e6) * s) / 38.1
    # The point lies in row 0, the third of those that are shifted.
    assert along == pytest.approx(-0.25)


def test_cells_are_summed_and_ranked():
    cells, held = cell_sums(np.array([7, 3, 7, 9]), np.array([1.0, 2.5, 2.0, 2.5]))
    assert cells.tolist() == [7, 3, 9]
    assert held.tolist() == [3.0, 2.5, 2.5]


def streets(angle_rad, n=40, block_m=140.0, apart_m=75.0):
    """Two busy points near each other along each of many streets, none of them in line with others."""
    rng = np.random.default_rng(8)
    along = np.repeat(np.arange(n) * 2.5 * block_m, n) + rng.uniform(0, block_m, n * n)
    across = np.tile(np.arange(n) * 3.5 * apart_m, n)
    u = np.concatenate([along, along + 0.8 * block_m])
    v = np.concatenate([across, across])
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return 3e5 + u * c - v * s, 5e6 + u * s + v * c, np.full(len(u), 2.0)


@pytest.fixture
def few_cells(monkeypatch):
    monkeypatch.setattr(tilings, "n_cells", lambda: np.array([50, 100, 150]))


def held_by(tiling, x_m, y_m, worth, n=100):
    return cell_sums(tiling.cell_of(x_m, y_m), worth)[1][:n].sum()


@pytest.mark.parametrize("angle_deg", [0.0, 30.0])
def test_the_best_tiling_follows_the_streets(angle_deg, few_cells):
    x_m, y_m, worth = streets(np.deg2rad(angle_deg))
    found = best_tiling(x_m, y_m, worth)
    assert found.width_m * found.height_m == pytest.approx(SIDE_M**2)
    assert min(found.width_m, found.height_m) == pytest.approx(MIN_SIDE_M)
    # Both points of a pair fit a rectangle along the street, but no square.
    assert held_by(plain_squares(), x_m, y_m, worth) == 200.0
    assert held_by(found, x_m, y_m, worth) == 400.0


def test_shifted_rows_hold_more_than_one_grid(few_cells):
    x_m, y_m, worth = streets(0.2)
    worth = worth + np.random.default_rng(1).exponential(2.0, len(worth))
    bricks = best_tiling(x_m, y_m, worth)
    grid = best_tiling(x_m, y_m, worth, shifted_rows=False)
    assert len(np.unique(grid.shifts)) == 1
    assert len(np.unique(bricks.shifts)) > 1
    assert held_by(bricks, x_m, y_m, worth) >= held_by(grid, x_m, y_m, worth)


def test_a_large_region_gets_the_same_tiling(few_cells, monkeypatch):
    x_m, y_m, worth = streets(0.1, n=12)
    dense = best_tiling(x_m, y_m, worth)
    monkeypatch.setattr(tilings, "MAX_DENSE", 0)
    sparse = best_tiling(x_m, y_m, worth)
    assert (dense.angle_rad, dense.width_m, dense.phase) == (
        sparse.angle_rad,
        sparse.width_m,
        sparse.phase,
    )
    assert dense.shifts.tolist() == sparse.shifts.tolist()


def test_the_areas_are_those_of_the_rules():
    assert (n_cells() * CELL_KM2 <= np.array([0.6475, 1.295, 1.9425])).all()
    assert ((n_cells() + 1) * CELL_KM2 > np.array([0.6475, 1.295, 1.9425])).all()
