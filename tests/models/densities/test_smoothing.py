"""Kernels on cells: mass stays in the study area, places stay in their cells."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from app.geo.grid import Grid
from models.densities.smoothing import Smoother, inside, snap
from models.incidents import Incidents

SIZE_M = 250.0
seeds = st.integers(0, 2**32 - 1)


def holed_grid(rng, nx=9, ny=7):
    """A study area with gaps and cut cells."""
    cell_id = np.flatnonzero(rng.random(nx * ny) < 0.8)
    area_km2 = 0.0625 * rng.uniform(0.1, 1.0, len(cell_id))
    return Grid("EPSG:32618", 500_000.0, 4_000_000.0, SIZE_M, nx, ny, cell_id, area_km2)


def scattered(rng, grid, n):
    """Incidents anywhere in the grid's box, cell borders included."""
    share = rng.choice([0.0, 0.5, 1.0], (n, 2)) if rng.random() < 0.3 else rng.random((n, 2))
    x_m = grid.x0_m + (rng.integers(grid.nx, size=n) + share[:, 0]) * SIZE_M
    y_m = grid.y0_m + (rng.integers(grid.ny, size=n) + share[:, 1]) * SIZE_M
    time_s = np.sort(rng.integers(0, 10**6, n))
    zeros = np.zeros(n)
    return Incidents(
        x_m.astype(np.float32),
        y_m.astype(np.float32),
        time_s,
        zeros.astype(np.int16),
        zeros.astype(np.int32),
    )


@given(seeds, st.integers(1, 400))
@settings(max_examples=50, deadline=None)
def test_snapping_keeps_every_incident_in_its_cell(seed, n):
    rng = np.random.default_rng(seed)
    grid = holed_grid(rng)
    incidents = scattered(rng, grid, n)
    known, row = inside(incidents, grid, 500_000)
    assert len(known) == ((grid.locate(incidents.x_m, incidents.y_m) >= 0)
                          & (incidents.time_s < 500_000)).sum()  # fmt: skip
    sites = snap(known, grid, row)
    np.testing.assert_array_equal(sites.cell[sites.of_incident], row)
    np.testing.assert_array_equal(grid.locate(sites.x_m, sites.y_m), sites.cell)
    assert len(np.unique(np.column_stack([sites.x_m, sites.y_m]), axis=0)) == len(sites)
    np.testing.assert_array_equal(
        sites.count(), np.bincount(sites.of_incident, minlength=len(sites))
    )
    assert np.abs(sites.x_m[sites.of_incident] - known.x_m).max(initial=0) <= SIZE_M / 20 + 0.5


@given(seeds, st.sampled_from([1.0, 40.0, 200.0, 374.0, 376.0, 900.0, 5_000.0]))
@settings(max_examples=50, deadline=None)
def test_smoothing_moves_mass_but_never_loses_any(seed, bandwidth_m):
    rng = np.random.default_rng(seed)
    grid = holed_grid(rng)
    known, row = inside(scattered(rng, grid, 200), grid, 10**6)
    smoother = Smoother(snap(known, grid, row), grid)
    weights = rng.random((3, len(smoother.sites)))
    mass = smoother.smooth(weights, bandwidth_m)
    assert mass.shape == (3, len(grid))
    assert (mass >= 0).all()
    np.testing.assert_allclose(mass.sum(axis=1), weights.sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(
        smoother.smooth(weights[0] + 2 * weights[1], bandwidth_m), mass[0] + 2 * mass[1], atol=1e-9
    )
    again = smoother.smooth(weights, bandwidth_m)
    np.testing.assert_array_equal(again, mass, err_msg="a stored operator gives the same bits")
    assert 0 <= smoother.leaked_share(weights, bandwidth_m) <= 1


def test_a_kernel_equals_its_integral_over_each_square():
    full = Grid("EPSG:32618", 0.0, 0.0, SIZE_M, 8, 8, np.arange(64), np.full(64, 0.0625))
    one = Incidents(
        np.float32([900.0]), np.float32([1100.0]), np.array([0]), np.int16([0]), np.int32([0])
    )
    sites = snap(one, full)
    bandwidth_m = 150.0
    edges_m = np.arange(9) * SIZE_M
    x, y = (np.diff(ndtr((edges_m - at) / bandwidth_m)) for at in (sites.x_m[0], sites.y_m[0]))
    exact = np.outer(y, x).ravel()
    smoother = Smoother(sites, full)
    mass = smoother.smooth(np.ones(1), bandwidth_m)
    np.testing.assert_allclose(mass, exact / exact.sum(), atol=5e-5)
    assert smoother.leaked_share(np.ones(1), bandwidth_m) == pytest.approx(
        1 - exact.sum(), abs=5e-5
    )


def test_a_narrow_kernel_leaves_counts_as_they_are_and_no_weight_leaks_nothing():
    rng = np.random.default_rng(0)
    grid = holed_grid(rng)
    known, row = inside(scattered(rng, grid, 300), grid, 10**6)
    smoother = Smoother(snap(known, grid, row), grid)
    count = smoother.sites.count()
    np.testing.assert_allclose(
        smoother.smooth(count, 0.1), np.bincount(row, minlength=len(grid)), atol=1e-9
    )
    assert smoother.leaked_share(np.zeros(len(count)), 100.0) == 0.0
